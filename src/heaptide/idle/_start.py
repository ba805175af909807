"""One fresh start of a program: ready, settled, loaded, settled again, read, ended."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from heaptide._procfs import Memory
from heaptide.recorder import Target

from ._aside import stand_aside
from ._clock import Clock
from ._errors import StartError
from ._hooks import Answered, Commands, PythonHooks
from ._log import Log
from ._program import Program, adopting
from ._ready import Ready, check_free, wait_ready
from ._settle import Rule, Sample, Settled, Settling
from ._traced import Tracing

_SHARE = 20  # of the time at most a 20th goes into looking
FIGURES = ("rss", "pss", "uss", "alone", "private_dirty", "swap", "swap_pss", "heap")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is done in each start; times in seconds."""

    ready: Ready = field(default_factory=Ready)
    settle: Rule = field(default_factory=Rule)
    load: str = ""
    cool_down: float = 0.0
    before_reading: str = ""
    gc: bool = False
    trim: bool = False
    readings: int = 5
    interval: float = 0.5
    stop_timeout: float = 10.0


@dataclass(frozen=True)
class ProcessReading:
    """What one process takes."""

    pid: int
    parent: int
    name: str
    command: tuple[str, ...]
    memory: Memory


@dataclass(frozen=True)
class Reading:
    """``time``: seconds since the start. ``heap``: live bytes, of a traced start only; ``alone``:
    bytes, each page of the processes once; both None where they are not known."""

    time: float
    processes: tuple[ProcessReading, ...]
    heap: int | None = None
    alone: int | None = None

    def value(self, figure: str) -> int | None:
        """The sum over the processes, in bytes."""
        if figure in ("heap", "alone"):
            whole: int | None = getattr(self, figure)
            return whole
        values: list[int] = [getattr(one.memory, figure) for one in self.processes]
        return sum(values)


@dataclass(frozen=True)
class Start:
    """What was measured in one start. Times in seconds since the program was started."""

    ready: float
    idle: float  # settled for the first time, or given up waiting for it
    settled: tuple[Settled, ...]  # once, and after the load once more
    readings: tuple[Reading, ...]
    series: tuple[Sample, ...]
    hooks: tuple[Answered, ...] = ()  # of each reading
    untraced: str = ""  # why a traced start has no heap

    @property
    def converged(self) -> bool:
        """Whether it had settled when it was read."""
        return self.settled[-1].converged

    def value(self, figure: str) -> float | None:
        """The median of the readings, in bytes; None: it is not known."""
        found = [reading.value(figure) for reading in self.readings]
        known = [value for value in found if value is not None]
        return median(known) if known else None


def measure_start(
    target: Target,
    plan: Plan,
    environment: Mapping[str, str],
    *,
    traced: bool = False,
    say: Say = lambda _: None,
    clock: Clock | None = None,
) -> Start:
    """Starts the program, measures it, ends it; nothing of it is left.

    ``say`` gets the step that is being done. Raises StartError, with the program's last lines and a
    file with all that it has printed; LaunchError where a traced start cannot be recorded.
    """
    clock = clock or Clock()
    with ExitStack() as stack:
        stack.enter_context(adopting())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heaptide-idle-")))
        log = stack.enter_context(closing(Log(folder / "output")))
        commands_log = stack.enter_context(closing(Log(folder / "commands")))
        try:
            return _Measuring(
                target, plan, environment, folder, (log, commands_log), traced, say, clock
            ).start()
        except StartError as error:
            if error.output is not None:
                error.kept = error.output.keep(target.name)
            raise


class _Measuring:
    """The steps of a start, in order."""

    def __init__(
        self,
        target: Target,
        plan: Plan,
        environment: Mapping[str, str],
        folder: Path,
        logs: tuple[Log, Log],
        traced: bool,
        say: Say,
        clock: Clock,
    ) -> None:
        self._target = target
        self._plan = plan
        self._folder = folder
        self._log = logs[0]
        self._say = say
        self._clock = clock
        self._traced = traced
        self._tracing: Tracing | None = None
        answers = folder / "answers"
        answers.mkdir()
        self._hooks = PythonHooks(answers, gc=plan.gc, trim=plan.trim)
        self._commands = Commands(environment, logs[1])
        self._environment = self._hooks.environment(environment)
        self._series: list[Sample] = []
        self._started = 0.0
        self._cost = 0.0  # seconds that the last look took

    def start(self) -> Start:
        probes = self._plan.ready.probes(self._commands)
        check_free(probes)
        with ExitStack() as stack:
            environment = self._environment
            if self._traced:
                self._tracing = stack.enter_context(closing(Tracing(self._target, self._folder)))
                environment = self._tracing.environment(environment)
            program = Program(
                self._target,
                environment,
                self._log,
                clock=self._clock,
                patience=self._plan.stop_timeout,
            )
            self._started = self._clock.now()
            stack.enter_context(program)
            if self._tracing is not None:
                self._tracing.started(program.pid)
            self._say("waiting until it is ready")
            wait_ready(program, probes, self._plan.ready.timeout, self._glance)
            return self._measure(program)

    def _measure(self, program: Program) -> Start:
        plan = self._plan
        ready = self._time()
        settled = [self._settle(program, "while it settled")]
        idle = self._time()
        if plan.load:
            self._say("loading")
            self._commands.demand(plan.load, program, "under load")
        if plan.load or plan.cool_down:
            self._say("cooling down")
            self._watch(program, plan.cool_down, "while it cooled down")
            settled.append(self._settle(program, "while it settled after the load"))
        readings, hooks = self._read_all(program)
        return Start(
            ready=ready,
            idle=idle,
            settled=tuple(settled),
            readings=tuple(readings),
            series=tuple(self._series),
            hooks=tuple(hooks),
            untraced=self._untraced(readings),
        )

    def _untraced(self, readings: Sequence[Reading]) -> str:
        if self._tracing is None or any(reading.heap is not None for reading in readings):
            return ""
        return "nothing was recorded: the program did not load the agent, or let it go"

    def _time(self) -> float:
        return self._clock.now() - self._started

    def _settle(self, program: Program, when: str) -> Settled:
        self._say("settling")
        settling = Settling(self._plan.settle)
        while not settling.add(self._sample(program, when)) and not settling.expired:
            self._rest(self._plan.settle.interval)
        return settling.result()

    def _watch(self, program: Program, seconds: float, when: str) -> None:
        """Lets time go by, and looks."""
        until = self._time() + seconds
        while (left := until - self._time()) > 0:
            self._sample(program, when)
            self._rest(min(self._plan.settle.interval, left))

    def _rest(self, seconds: float) -> None:
        self._clock.sleep(max(seconds, self._cost * _SHARE))

    def _glance(self, program: Program) -> None:
        """As often as is due; for the series."""
        due = max(self._plan.settle.interval, self._cost * _SHARE)
        if not self._series or self._time() - self._series[-1].time >= due:
            self._look(program, "before it was ready")

    def _sample(self, program: Program, when: str) -> Sample:
        self._look(program, when)
        return self._series[-1]

    def _look(self, program: Program, when: str) -> Reading:
        """Reads all processes; also a point of the series."""
        program.log.tidy()
        begun = self._clock.now()
        stand_aside()
        found = []
        for one in program.check(when):
            memory = program.procfs.memory(one.pid)
            if memory is not None:
                command = tuple(program.procfs.command(one.pid))
                found.append(ProcessReading(one.pid, one.parent, one.name, command, memory))
        heap = None if self._tracing is None else self._tracing.live_bytes()
        reading = Reading(self._time(), tuple(found), heap)
        total = sum((one.memory for one in found), Memory())
        self._series.append(Sample(reading.time, total.pss, total.private_dirty, len(found)))
        self._cost = self._clock.now() - begun
        return reading

    def _read_all(self, program: Program) -> tuple[list[Reading], list[Answered]]:
        plan, when = self._plan, "while it was read"
        readings: list[Reading] = []
        hooks = []
        for number in range(plan.readings):
            self._say(f"reading {number + 1} of {plan.readings}")
            if number:
                self._rest(plan.interval)
            if plan.before_reading:
                self._commands.demand(plan.before_reading, program, "before a reading")
            answered = self._hooks.run(program, when)
            if answered is not None:
                hooks.append(answered)
            reading = self._look(program, when)
            if not reading.processes:
                raise StartError(
                    f"{program.name} has no process whose memory can be read", self._log
                )
            memories = {one.pid: one.memory for one in reading.processes}
            readings.append(replace(reading, alone=program.procfs.alone(memories)))
        return readings, hooks
