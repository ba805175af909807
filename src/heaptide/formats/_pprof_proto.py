"""The messages of pprof's profile.proto, declared for the protobuf runtime.

Declared here and not generated: generated modules work with the runtimes of their own years only.
Names and numbers are the format's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from heaptide.errors import UsageError

_INT64, _UINT64, _BOOL, _STRING, _MESSAGE = 3, 4, 8, 9, 11
_OPTIONAL, _REPEATED = 1, 3
_PACKAGE = "heaptide.pprof"

# name -> (number, type, repeated); a type that is a string is a message.
_MESSAGES: dict[str, dict[str, tuple[int, Any, bool]]] = {
    "ValueType": {"type": (1, _INT64, False), "unit": (2, _INT64, False)},
    "Label": {
        "key": (1, _INT64, False),
        "str": (2, _INT64, False),
        "num": (3, _INT64, False),
        "num_unit": (4, _INT64, False),
    },
    "Sample": {
        "location_id": (1, _UINT64, True),
        "value": (2, _INT64, True),
        "label": (3, "Label", True),
    },
    "Mapping": {
        "id": (1, _UINT64, False),
        "memory_start": (2, _UINT64, False),
        "memory_limit": (3, _UINT64, False),
        "file_offset": (4, _UINT64, False),
        "filename": (5, _INT64, False),
        "build_id": (6, _INT64, False),
        "has_functions": (7, _BOOL, False),
        "has_filenames": (8, _BOOL, False),
        "has_line_numbers": (9, _BOOL, False),
        "has_inline_frames": (10, _BOOL, False),
    },
    "Line": {
        "function_id": (1, _UINT64, False),
        "line": (2, _INT64, False),
        "column": (3, _INT64, False),
    },
    "Location": {
        "id": (1, _UINT64, False),
        "mapping_id": (2, _UINT64, False),
        "address": (3, _UINT64, False),
        "line": (4, "Line", True),
        "is_folded": (5, _BOOL, False),
    },
    "Function": {
        "id": (1, _UINT64, False),
        "name": (2, _INT64, False),
        "system_name": (3, _INT64, False),
        "filename": (4, _INT64, False),
        "start_line": (5, _INT64, False),
    },
    "Profile": {
        "sample_type": (1, "ValueType", True),
        "sample": (2, "Sample", True),
        "mapping": (3, "Mapping", True),
        "location": (4, "Location", True),
        "function": (5, "Function", True),
        "string_table": (6, _STRING, True),
        "drop_frames": (7, _INT64, False),
        "keep_frames": (8, _INT64, False),
        "time_nanos": (9, _INT64, False),
        "duration_nanos": (10, _INT64, False),
        "period_type": (11, "ValueType", False),
        "period": (12, _INT64, False),
        "comment": (13, _INT64, True),
        "default_sample_type": (14, _INT64, False),
        "doc_url": (15, _INT64, False),
    },
}


@lru_cache(maxsize=1)
def profile_class() -> Any:
    """The class of the message Profile. Raises UsageError where protobuf is not installed."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise UsageError(
            "files of pprof need protobuf: pip install 'heaptide[pprof]', or pip install protobuf"
        ) from None
    file = descriptor_pb2.FileDescriptorProto(
        name="heaptide/pprof.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            added = message.field.add(
                name=field,
                number=number,
                label=_REPEATED if repeated else _OPTIONAL,
                type=_MESSAGE if isinstance(kind, str) else kind,
            )
            if isinstance(kind, str):
                added.type_name = f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.Profile")
    return message_factory.GetMessageClass(descriptor)
