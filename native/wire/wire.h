// The bytes between the agent (inside the target) and the collector (outside), and nothing else.
//
// One session is one memfd. It is created by whoever starts the recording, kept open by the
// collector as descriptor `HT_SESSION_FD`, and opened by each target process as
// /proc/<collector pid>/fd/<HT_SESSION_FD>. Nothing in it is a pointer: every reference is an index
// or an offset, because each process maps it elsewhere.
//
// All words are little endian; x86-64 and aarch64 only. Valid as C17 and as C++20.
#ifndef HEAPTIDE_WIRE_H
#define HEAPTIDE_WIRE_H

#include <stdint.h>

#ifdef __cplusplus
#define HT_CONSTEXPR constexpr
extern "C" {
#else
#define HT_CONSTEXPR
#endif

#define HT_WIRE_MAGIC 0x6564697470616568ull // "heaptide"
#define HT_WIRE_VERSION 3u
#define HT_SESSION_FD 3

// ---------------------------------------------------------------------------------------------
// Geometry. Offsets into the memfd. The file is sparse: what nobody touches costs nothing.

#define HT_MAX_PROCESSES 4096u
#define HT_MAX_RINGS 16384u
#define HT_BLOCK_WORDS 128u // 1 KiB; word 0 of a block is its header: the TSC when it was opened
#define HT_RING_BLOCKS 256u
#define HT_RING_BYTES (HT_RING_BLOCKS * HT_BLOCK_WORDS * 8u) // 256 KiB

#define HT_HEADER_OFFSET 0ull
#define HT_HEADER_BYTES 0x2000ull
#define HT_PROCESS_BYTES 256ull
#define HT_PROCESSES_OFFSET (HT_HEADER_OFFSET + HT_HEADER_BYTES)
#define HT_RING_HEADER_BYTES 256ull
#define HT_RING_HEADERS_OFFSET (HT_PROCESSES_OFFSET + HT_MAX_PROCESSES * HT_PROCESS_BYTES)
#define HT_RINGS_OFFSET (HT_RING_HEADERS_OFFSET + HT_MAX_RINGS * HT_RING_HEADER_BYTES)
#define HT_SESSION_BYTES (HT_RINGS_OFFSET + (uint64_t)HT_MAX_RINGS * HT_RING_BYTES)

// ---------------------------------------------------------------------------------------------
// Session header (page 0). Written by the launcher before the collector starts, then as noted.

enum ht_session_state {
  HT_STATE_STARTING = 0,  // collector not ready yet: agents do not record
  HT_STATE_PAUSED = 1,    // agents attach and register, but record nothing yet (--start-after)
  HT_STATE_RECORDING = 2, // agents record
  HT_STATE_STOPPED = 3,   // the recording ended: agents turn themselves off for good
};

enum ht_session_error {
  HT_ERROR_NONE = 0,
  HT_ERROR_DISK_FULL = 1,
  HT_ERROR_MAX_SIZE = 2, // --max-size reached: a clean end, worth a line
  HT_ERROR_IO = 3,
  HT_ERROR_INTERNAL = 4,
};

enum ht_config_flags {
  HT_CONFIG_PYTHON_OBJECTS = 1u << 0, // hook CPython's raw, mem and object domains
  HT_CONFIG_NATIVE_AUTO = 1u << 1,    // native frames except for CPython's own object allocators
  HT_CONFIG_NATIVE_ALL = 1u << 2,     // native frames for every event
  HT_CONFIG_FOLLOW = 1u << 3,         // record children by fork and exec
  HT_CONFIG_USABLE_SIZE = 1u << 4,    // sizes are malloc_usable_size() instead of requested
  HT_CONFIG_THREAD_PEAKS = 1u << 5,   // the collector keeps what is live by thread, for syncs
};

typedef struct ht_session_header {
  // line 0: constant once state has left STARTING
  uint64_t magic;
  uint32_t version;
  uint32_t collector_pid;   // set by the collector
  uint32_t config;          // ht_config_flags
  uint32_t root_pid;        // set by the launcher once the program has been started
  uint64_t sample_interval; // mean bytes between samples; 0 or 1: every allocation
  uint64_t start_tsc;       // collector: TSC and CLOCK_MONOTONIC at its start, for tsc -> time
  uint64_t start_monotonic_ns;
  uint64_t start_realtime_ns;
  uint8_t pad0[64 - 56];
  // line 1: state; read by producers once a block
  uint32_t state;  // ht_session_state, atomic
  uint32_t finish; // launcher -> collector: the program has ended; drain, write, exit
  uint32_t error;  // ht_session_error, set by the collector
  int32_t error_errno;
  uint8_t pad1[48];
  // line 2: counts every poll of the collector; a stale value means it is dead or stuck
  uint64_t heartbeat;
  uint8_t pad2[56];
  // line 3: 1 while the collector sleeps in futex(FUTEX_WAIT) on this word; a producer whose ring
  // is more than a quarter full stores 0 and wakes it
  uint32_t sleeping;
  uint8_t pad3[60];
  // line 4: allocation of slots, fetch_add by agents
  uint32_t processes_used;    // high-water mark of process slots
  uint32_t rings_used;        // high-water mark of ring slots
  uint32_t processes_refused; // registrations that found no slot
  uint32_t rings_refused;
  uint8_t pad4[48];
  // lines 5-7: live figures by the collector, each a plain 64-bit word, refreshed every >= 50 ms
  uint64_t live_bytes;
  uint64_t live_blocks;
  uint64_t peak_bytes;
  uint64_t peak_time_ns;
  uint64_t allocations;
  uint64_t deallocations;
  uint64_t reallocations;
  uint64_t total_bytes;
  uint64_t elapsed_ns;
  uint64_t file_bytes;
  uint64_t rss_bytes; // sum over recorded processes
  uint64_t collector_rss_bytes;
  uint64_t processes_live;
  uint64_t threads_live;
  uint64_t lost_events; // events the agents had to drop
  uint64_t live_reserved[9];
  char error_text[256]; // one line, for a person
} ht_session_header;

// ---------------------------------------------------------------------------------------------
// Process slots. One for each process image: a fork takes a new one, and so does an exec, and a pause
// of the recording by the program itself: what was live before it is not known after it.

// What a process, or one of its threads, has done since its slot was claimed. Blocks and bytes.
typedef struct ht_figures {
  uint64_t allocations; // reallocations apart
  uint64_t reallocations;
  uint64_t deallocations;
  uint64_t bytes; // allocated in total
  uint64_t live_bytes;
  uint64_t live_blocks;
  uint64_t peak_bytes; // live at the most, since the sync before
  uint64_t temporary;
  uint64_t copied_bytes; // by reallocations
} ht_figures;

enum ht_sync_flags {
  HT_SYNC_SLICE = 1u << 0, // a slice of time ends here
  HT_SYNC_WRITE = 1u << 1, // what has been counted is in the file before the answer
  // The process's peak begins anew: what counts from here on is what lives when the thread that asks
  // (which HT_CONFIG_THREAD_PEAKS is needed for), or the process, has the most.
  HT_SYNC_PEAK_OF_THREAD = 1u << 2,
  HT_SYNC_PEAK_OF_PROCESS = 1u << 3,
  HT_SYNC_PEAK_STAYS = 1u << 4, // as it is now, until it begins anew
  HT_SYNC_WRITE_PEAK = 1u << 5, // with HT_SYNC_WRITE: what lived at the peak as well
};

enum ht_process_state {
  HT_PROCESS_FREE = 0,
  HT_PROCESS_CLAIMED = 1, // being filled in by the agent
  HT_PROCESS_LIVE = 2,
  HT_PROCESS_EXEC = 3,  // about to exec: ends when another slot appears with the same pid, or the
                        // pid dies; the agent puts LIVE back if the exec fails
  HT_PROCESS_ENDED = 4, // set by the collector; it may set FREE once nothing refers to the slot
};

#define HT_PARENT_SELF 0x80000000u

typedef struct ht_process {
  uint32_t state; // ht_process_state, atomic
  uint32_t pid;
  uint32_t parent_slot; // slot + 1 of the process that forked this one; 0: none recorded; with
      // HT_PARENT_SELF: of this very process, which goes on after a pause with all
      // that its numbers meant
  uint32_t parent_generation;
  uint32_t generation;        // counts the uses of this slot
  uint32_t inherited_nodes;   // ids 1..inherited_nodes mean the parent's at the fork; likewise
  uint32_t inherited_codes;   // code ids and
  uint32_t inherited_modules; // module ids. Evaluation ranges are inherited too
  uint64_t start_tsc;
  // counters by the agent, relaxed
  uint64_t wait_ns;        // time its threads waited for a full ring
  uint64_t lost_events;    // nested in a signal during a slow path, or no ring to be had
  uint64_t fp_fallbacks;   // native frames found by the frame pointer for want of CFI
  uint64_t truncated;      // native stacks that could not be followed to their end
  uint32_t python_version; // PY_VERSION_HEX, 0: no interpreter seen
  uint32_t python_status;  // ht_python_status
  uint32_t allocator;      // ht_allocator_provider
  uint32_t off_reason;     // ht_off_reason: why the agent turned itself off
  // Figures on request (heaptide_sync). The agent sets tid and flags and counts the request; the
  // collector answers with the number of the request when all that came before has been counted, and
  // wakes who waits on that word.
  uint32_t sync_request, sync_answer;
  uint32_t sync_tid, sync_flags; // ht_sync_flags
  ht_figures sync_process, sync_thread;
  uint64_t sync_ns; // time of the answer since the start
} ht_process;

enum ht_python_status {
  HT_PYTHON_NONE = 0,
  HT_PYTHON_OK = 1,
  HT_PYTHON_UNSUPPORTED = 2, // version without an offsets table
  HT_PYTHON_SELFTEST = 3,    // offsets did not agree with the interpreter
};

enum ht_allocator_provider { // who really answers malloc
  HT_PROVIDER_LIBC = 0,
  HT_PROVIDER_JEMALLOC = 1,
  HT_PROVIDER_TCMALLOC = 2,
  HT_PROVIDER_MIMALLOC = 3,
  HT_PROVIDER_OTHER = 4,
  HT_PROVIDER_STATIC = 5, // linked into the program: calls do not reach the agent
};

enum ht_off_reason {
  HT_OFF_NONE = 0,
  HT_OFF_SESSION_STOPPED = 1,
  HT_OFF_COLLECTOR_DEAD = 2,
  HT_OFF_NO_SLOT = 3,
  HT_OFF_NO_MEMORY = 4,
  HT_OFF_NOT_FOLLOWED = 5,
  HT_OFF_SANDBOX = 6, // a seccomp filter may kill for any system call
};

// ---------------------------------------------------------------------------------------------
// Rings: one a thread. A block is a run of events; an event never crosses a block's end. The
// producer zeroes a block before it opens it, so a zero word inside a block means "nothing (yet)":
// in a published block, go on with the next one; in the open block, come back later.
//
// `head` counts opened blocks minus one: blocks below head are complete, block `head` is open and
// may be read up to its first zero word. An event's first word is written last (release), so what
// is non-zero is whole: even after SIGKILL of the target, everything it recorded can be read.
// `tail` counts blocks the collector has consumed; the producer may open block b when
// b - tail < HT_RING_BLOCKS.

enum ht_ring_state {
  HT_RING_FREE = 0,
  HT_RING_CLAIMED = 1,
  HT_RING_LIVE = 2,
};

typedef struct ht_ring_header {
  // line 0: constant while LIVE. The claimer sets everything, head and tail to 0 included, and only
  // then stores LIVE (release).
  uint32_t state; // ht_ring_state, atomic; FREE -> CLAIMED by an agent (CAS), LIVE -> FREE by the
                  // collector once the thread is gone and the ring is drained
  uint32_t generation; // incremented at each claim
  uint32_t process;    // slot of the process
  uint32_t process_generation;
  uint32_t pid;
  uint32_t tid;
  uint64_t start_tsc;
  uint8_t pad0[32];
  // line 1: producer
  uint64_t head;
  uint8_t pad1[56];
  // line 2: consumer
  uint64_t tail;
  uint8_t pad2[56];
  // line 3: spare
  uint8_t pad3[64];
} ht_ring_header;

// ---------------------------------------------------------------------------------------------
// Events. Word 0: bits 0-47 value (mostly an address), bits 48-55 aux, bits 56-63 op (never 0).

#define HT_WORD(op, aux, value) \
  (((uint64_t)(op) << 56) | ((uint64_t)(aux) << 48) | ((uint64_t)(value) & 0xffffffffffffull))
#define HT_OP(word) ((unsigned)((word) >> 56))
#define HT_AUX(word) ((unsigned)((word) >> 48) & 0xffu)
#define HT_VALUE(word) ((word) & 0xffffffffffffull)

enum ht_op {
  HT_OP_NONE = 0,
  // A free, recorded before it is done. value: address. aux: kind. 1 word.
  HT_OP_FREE = 1,
  // A successful allocation, recorded after it is done. value: address.
  // aux: kind | HT_ALLOC_*.
  // word 1: low 32 bits size (or, with HT_ALLOC_BIG, 0), high 32 bits stack node
  // with HT_ALLOC_NATIVE: another word, low 32 bits the native stack node (word 1 has the Python one)
  // with HT_ALLOC_BIG: a last word, the 64-bit size
  HT_OP_ALLOC = 2,
  // A realloc of a block that exists is two events of one thread with nothing of that thread's
  // between them but NODE and META. BEGIN (value: old address; 1 word) comes before the call, END
  // (laid out as ALLOC; value: new address) after it. END with address 0: the call failed, the old
  // block stands; with HT_ALLOC_FREED too: realloc(p, 0) freed it.
  HT_OP_REALLOC_BEGIN = 3,
  HT_OP_REALLOC_END = 4,
  // An unmapping, before it is done; value: address, word 1: length. Also sent for the range that a
  // MAP_FIXED mapping replaces, and for a break that shrinks. aux: kind.
  HT_OP_UNMAP = 5,
  // value: old address; word 1: old length; word 2: new address; word 3: new length;
  // word 4: high 32 bits stack node, low 32 bits native node (0: none). After it is done. 5 words.
  HT_OP_REMAP = 6,
  // A new stack node. value: its id (32 bits). aux: HT_NODE_*.
  // word 1: native: call address (return address - 1, or the exact pc of an interrupted frame)
  //         python: low 32 bits code id, high 32 bits bytecode offset (bytes into co_code)
  // word 2: low 32 bits parent node, high 32 bits module id (native; 0: in no module)
  HT_OP_NODE = 7,
  // Variable data. value: bits 0-15 number of payload words that follow, bits 16-23 ht_meta_type,
  // bit 24: more fragments of the same record follow in this ring. Payload is a byte stream padded
  // with zeros to a word: fields little endian in the order given, strings as u32 length + bytes.
  HT_OP_META = 8,
};

enum ht_kind {           // low 4 bits of aux: whom the memory comes from
  HT_KIND_MALLOC = 0,    // malloc family
  HT_KIND_NEW = 1,       // C++ operator new of an allocator library
  HT_KIND_PY_RAW = 2,    // PyMem_RawMalloc
  HT_KIND_PY_MEM = 3,    // PyMem_Malloc
  HT_KIND_PY_OBJECT = 4, // PyObject_Malloc
  HT_KIND_MMAP = 5,      // anonymous mmap by the program
  HT_KIND_SBRK = 6,      // brk or sbrk by the program
  HT_KIND_ARENA = 7,     // mapped by an allocator for its own use: shown apart, never in totals
};

#define HT_ALLOC_NATIVE 0x10u
#define HT_ALLOC_BIG 0x20u
#define HT_ALLOC_FREED 0x40u

#define HT_NODE_PYTHON 0x01u
#define HT_NODE_ENTRY 0x02u // python: this frame's evaluation loop was entered from C

// Words of the event that begins with `word`; 0: no such event.
HT_CONSTEXPR static inline unsigned ht_event_words(uint64_t word) {
  switch (HT_OP(word)) {
    case HT_OP_FREE:
    case HT_OP_REALLOC_BEGIN:
      return 1;
    case HT_OP_ALLOC:
    case HT_OP_REALLOC_END:
      return 2u + ((HT_AUX(word) & HT_ALLOC_NATIVE) != 0) + ((HT_AUX(word) & HT_ALLOC_BIG) != 0);
    case HT_OP_UNMAP:
      return 2;
    case HT_OP_REMAP:
      return 5;
    case HT_OP_NODE:
      return 3;
    case HT_OP_META:
      return 1 + (unsigned)(word & 0xffff);
    default:
      return 0;
  }
}

// Nodes every process has from the start; not sent.
#define HT_NODE_NONE 0u        // no stack
#define HT_NODE_ROOT_PYTHON 1u // parent of outermost Python frames
#define HT_NODE_ROOT_NATIVE 2u // parent of outermost native frames
#define HT_NODE_FIRST 3u

// Call addresses with a meaning of their own (native nodes, module 0).
#define HT_PC_TRUNCATED 1ull // outermost: the unwinder could not go on from here

enum ht_meta_type {
  // u32 pid, u32 ppid, str executable path, u32 argc, str argv...
  HT_META_PROCESS = 1,
  // u32 module id, u64 load bias, u64 start, u64 end, str path, str build id (raw bytes)
  // An address's file offset-independent form is address - bias.
  HT_META_MODULE = 2,
  // u32 code id, u32 first line, u32 PY_VERSION_HEX, str filename, str qualified name (3.9/3.10:
  // plain name), str line table (raw bytes of co_lnotab or co_linetable)
  HT_META_CODE = 3,
  // u32 tid, str name
  HT_META_THREAD_NAME = 4,
  // u64 start, u64 end of machine code that runs Python frames; one for each range (eval loop and
  // its cold part)
  HT_META_EVAL_RANGE = 5,
  // u64 tsc, str name
  HT_META_MARK = 6,
  // str text: something the person should know, once
  HT_META_NOTE = 7,
  // u32 parent pid, u32 child pid: recorded in the child
  HT_META_FORK = 8,
};

#ifdef __cplusplus
}
static_assert(sizeof(ht_process) == HT_PROCESS_BYTES);
static_assert(sizeof(ht_ring_header) == HT_RING_HEADER_BYTES);
static_assert(sizeof(ht_session_header) <= HT_HEADER_BYTES);
#else
_Static_assert(sizeof(ht_process) == HT_PROCESS_BYTES, "process slot");
_Static_assert(sizeof(ht_ring_header) == HT_RING_HEADER_BYTES, "ring header");
_Static_assert(sizeof(ht_session_header) <= HT_HEADER_BYTES, "session header");
#endif

#endif
