"""Units fetched in threads, and handed on in the order of the plan.

A ``Pool`` has the threads, a ``Lane`` what is fetched in one way: the first of its slices goes ahead, the others begin
when there has been an answer, so a wrong key is not tried many times. A slice that is known before its turn, as a
document is while its list is still read, may be asked for early: what comes of it is held until its turn comes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias

from vendortap.declare.model import Slice
from vendortap.sync.context import Records

PAGES_AHEAD = 1
"""Pages of a slice that are fetched and not yet read: the next comes while one is written, a third would only wait.

With the slices ahead, the bound of what is held in memory.
"""
SLICES_AHEAD = 2
"""Units begun or done and not yet read to their end, for each that may be under way."""
EARLY = 10
"""Units asked for early and held, for each that may be under way."""

Fetch: TypeAlias = Callable[[Slice], Generator[Records, None, None]]
Fetched: TypeAlias = Generator[tuple[Slice, Iterator[Records]], None, None]
"""Each slice with its pages, in order; a slice's error is raised where its pages are read."""


class _End:
    """Put behind the last page of a slice; holds what went wrong, if something did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Task:
    """A slice on its way: its pages arrive in the queue; it begins when its event is set.

    ``room`` is for how many more pages there is, once the first has arrived.
    """

    def __init__(self, slice_: Slice, lane: Lane, begin: threading.Event, *, is_early: bool = False) -> None:
        self.slice_ = slice_
        self.is_early = is_early
        self.lane = lane
        self.begin = begin
        self.queue: SimpleQueue[Records | _End] = SimpleQueue()
        self.room: SimpleQueue[None] = SimpleQueue()
        for _ in range(PAGES_AHEAD - 1):
            self.room.put(None)
        self._taken = threading.Lock()
        self._left = threading.Event()

    def leave(self) -> None:
        """Say that nobody reads the rest: the thread that fetches it goes on with another task."""
        self._left.set()

    @property
    def is_left(self) -> bool:
        """Whether nobody reads the rest."""
        return self._left.is_set()

    def take(self) -> bool:
        """Take the task, to do it or to call it off; returns whether nobody has before."""
        return self._taken.acquire(blocking=False)

    def pages(self) -> Iterator[Records]:
        """Yield the pages as they arrive.

        Raises:
            BaseException: what went wrong in the thread.
        """
        while not isinstance(page := self.queue.get(), _End):
            if page.more:
                self.room.put(None)
            yield page
        if page.error is not None:
            raise page.error


class Pool:
    """Threads that do tasks, first come, first served; at most ``concurrency`` of them, started as tasks come.

    When it is closed, each thread ends with the request it is at. Threads are daemons: an interrupted program does not
    wait for the network.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads = 0
        self._ended = threading.Event()
        self._gates: list[threading.Event] = []

    def gate(self) -> threading.Event:
        """Return an event that is set when the pool is closed, at the latest."""
        self._gates.append(threading.Event())
        return self._gates[-1]

    def put(self, task: Task) -> None:
        """Have a task done."""
        self._tasks.put(task)
        if self._threads < self.concurrency:
            self._threads += 1
            threading.Thread(target=self._work, name=f"vendortap-{self._threads}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end."""
        self._ended.set()
        for gate in self._gates:
            gate.set()
        for _ in range(self._threads):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.begin.wait()
            if self._ended.is_set():
                return
            if task.take() and not self._do(task):
                return

    def _do(self, task: Task) -> bool:
        """Do a task to its end, or until nobody reads it any more; returns whether there may be others to do."""
        end = _End()
        try:
            with closing(task.lane.fetch(task.slice_)) as pages:
                for page in pages:
                    task.lane.answered()
                    task.queue.put(page)
                    if page.more and not self._has_room(task):
                        return not self._ended.is_set()
        except BaseException as error:  # noqa: BLE001 - it is raised where the slice is read
            end = _End(error)
            task.lane.call_off()
        task.queue.put(end)
        return True

    def _has_room(self, task: Task) -> bool:
        """Wait for room for another page; returns whether somebody is still going to read."""
        while not (self._ended.is_set() or task.is_left):
            with suppress(Empty):
                task.room.get(timeout=0.2)
                return True
        return False


class Lane:
    """Units that are fetched in one way, by a pool's threads. All but ``fetch`` is the reader's, who is one thread."""

    def __init__(self, pool: Pool, fetch: Fetch) -> None:
        self.pool = pool
        self.fetch = fetch
        self._now, self._answered = pool.gate(), pool.gate()
        self._now.set()
        self._is_first = True
        self._early: dict[tuple[str, ...], Task] = {}
        self._lock = threading.Lock()
        self._is_off = False

    def begin(self, slice_: Slice) -> Task:
        """Have a slice fetched: what has been asked for early, or from now on."""
        with self._lock:
            early = self._early.pop(_name(slice_), None)
        if early is not None and early.slice_ == slice_:
            return early
        task = Task(slice_, self, self._now if self._is_first else self._answered)
        self._is_first = False
        self.pool.put(task)
        return task

    def ask_early(self, slice_: Slice) -> None:
        """Have a slice fetched before its turn; not twice, not where there are enough, and not once one has failed.

        For those who know that the credentials are good: it waits for no answer.
        """
        with self._lock:
            if self._is_off or _name(slice_) in self._early or len(self._early) >= EARLY * self.pool.concurrency:
                return
            task = Task(slice_, self, self._now, is_early=True)
            self._early[_name(slice_)] = task
        self.pool.put(task)

    def call_off(self) -> None:
        """Ask for nothing early any more: what has not begun yet has its turn when it comes."""
        with self._lock:
            self._is_off = True
            self._early = {name: task for name, task in self._early.items() if not task.take()}

    def answered(self) -> None:
        """Let all others begin."""
        if not self._answered.is_set():
            self._answered.set()


def _name(slice_: Slice) -> tuple[str, ...]:
    return tuple(slice_.params.values())


def in_order(slices: Iterable[Slice], lane: Lane) -> Fetched:
    """Fetch slices, and yield each with its pages, in the order given.

    At most SLICES_AHEAD slices for each that may be under way are begun or done and not yet read to their end, each at
    most PAGES_AHEAD pages ahead; and besides them those asked for early, which are held anyway. Who stops in the middle
    of a slice closes this iterator: a thread waits until its pages are read.
    """
    coming = iter(slices)
    begun: deque[Task] = deque()
    ahead = 0
    while True:
        while ahead < SLICES_AHEAD * lane.pool.concurrency and (slice_ := next(coming, None)) is not None:
            begun.append(lane.begin(slice_))
            ahead += not begun[-1].is_early
        if not begun:
            return
        task = begun.popleft()
        ahead -= not task.is_early
        pages = task.pages()
        try:
            yield task.slice_, pages
            for _ in pages:  # whatever the reader left
                pass
        finally:
            task.leave()
        lane.answered()  # or refused, which the reader has put up with


def ordered(slices: Iterable[Slice], fetch: Fetch, concurrency: int) -> Fetched:
    """Fetch slices in threads of their own, and yield each with its pages, in the order given; see ``in_order``.

    When the iterator is closed, the threads end.
    """
    with closing(Pool(concurrency)) as pool:
        yield from in_order(slices, Lane(pool, fetch))
