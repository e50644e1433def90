"""Makes docs/performance.md of the results, the same of the same: ``python -m benchmarks.report``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import nan
from pathlib import Path
from statistics import median
from textwrap import fill

from benchmarks import plots
from benchmarks.contenders import TITLES, Contender
from benchmarks.dataset import FORMS, Form
from benchmarks.figures import Figure, Results, cpu, measured, peak, per_second, rate, refused, state_bytes, wall
from benchmarks.goals import BASE, OURS, TRIED, goals
from benchmarks.parts import PARTS, SIZES, details, lists, load, memory, processes
from benchmarks.paths import DOCUMENT, PLOTS, RESULTS
from benchmarks.results import Part, Run, Spread
from benchmarks.results import load as load_part


def read(folder: Path = RESULTS) -> Results:
    """Return the results of the parts that were measured."""
    parts = {name: load_part(folder, name) for name in PARTS}
    return {name: part for name, part in parts.items() if part}


def document(results: Results) -> str:
    """Return the text of docs/performance.md."""
    sections: dict[str, Callable[[Part], Iterable[str]]] = {
        "json": _json,
        "xml": _xml,
        "details": _details,
        "limit": _limit,
        "memory": _memory,
        "startup": _startup,
        "load": _load,
        "processes": _processes,
        "profile": _profile,
    }
    blocks = [*_introduction(results), *_goals(results)]
    for name, section in sections.items():
        if part := results.get(name):
            blocks += section(part)
    return "\n\n".join(map(_filled, [*blocks, *_circumstances(results)])) + "\n"


def write(results: Results, path: Path = DOCUMENT, pictures: Path = PLOTS) -> None:
    """Write the document, and draw its plots."""
    path.write_text(document(results), encoding="utf-8")
    plots.draw(results, pictures)


# --- how figures look --------------------------------------------------------------------------------


def _filled(block: str) -> str:
    """Break the lines of prose and of points; tables, headings and pictures stay as they are."""
    if block.startswith(("#", "|", "!")):
        return block
    filled = (
        fill(line, 120, subsequent_indent="  " * line.startswith("- "), break_long_words=False, break_on_hyphens=False)
        for line in block.splitlines()
    )
    return "\n".join(filled)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines])


def _shown(found: Spread | None, digits: int = 0) -> str:
    """Show a median with its spread, as 12 (11–14)."""
    if found is None:
        return "–"
    numbers = [f"{number:,.{digits}f}" for number in (found.median, found.least, found.greatest)]
    return numbers[0] if numbers[1] == numbers[2] else f"{numbers[0]} ({numbers[1]}–{numbers[2]})"


def _said(value: bool | None) -> str:
    return {None: "–", True: "yes", False: "no"}[value]


def _exact(runs: Sequence[Run]) -> str:
    """Say whether the output that was checked in full is complete and exact."""
    return _said(next((run.exact for run in runs if run.exact is not None), None))


def _rows(
    part: Part, contenders: Iterable[Contender], cells: Callable[[str], Sequence[str]], case: int = 0
) -> Iterator[Sequence[str]]:
    """Yield a row a contender; who has no good run says why."""
    for contender in contenders:
        if part.of(contender.name, case):
            yield contender.title, *cells(contender.name)
        else:
            yield contender.title, _why_not(part, contender)


def _why_not(part: Part, contender: Contender) -> str:
    errors = [run.error for run in part.runs if run.contender == contender.name and run.error]
    return f"failed: {errors[0]}" if errors else f"not installed: {part.missing.get(contender.environment, 'not run')}"


def _picture(name: str, text: str) -> str:
    return f"![{text}]({PLOTS.name}/{name}.svg)"


# --- the beginning and the end -----------------------------------------------------------------------


def _introduction(results: Results) -> Iterator[str]:
    yield "# Performance"
    yield (
        "This page is made by `make bench`, which serves the same invoices to vendortap and to what users "
        "would pick instead, in turn, and checks what comes out. The server, every peer's implementation and "
        "every single run are in [benchmarks/](../benchmarks). How to read it:"
    )
    points = (
        "An invoice has ten lines, and is 5.3 kB of JSON or 8.0 kB of XML. All invoices differ; a list has 200 a page. "
        "One in a thousand has a total of 17 digits, which no float holds.",
        "Each run is a process of its own, start-up included, in an environment of its own, whose versions are below. "
        "Its messages go through a pipe; those of the first round are decoded and held against the generator by "
        "number, total and prices of all lines (*exact*), the records of every round are counted.",
        "CPU is user and system time of the process and its children. Figures are medians, with the least and the "
        "greatest in brackets. Machines are noisy: quote ratios, and CPU before wall.",
    )
    yield "\n".join(f"- {point}" for point in points)
    yield from _machine(results)


def _machine(results: Results) -> Iterator[str]:
    machines = {
        f"{part.machine['processor']}, {part.machine['cores']} cores, {part.machine['memory_gib']} GiB, "
        f"{part.machine['system']}, Python {part.machine['python']}"
        for part in results.values()
    }
    rounds = sorted({part.sizes["runs"] for part in results.values()})
    yield f"Measured on: {'; '.join(sorted(machines))}. Rounds: {' or '.join(map(str, rounds))}."
    if trial := [name for name, part in results.items() if _is_trial(name, part)]:
        yield f"**These parts are of a trial with fewer invoices, and prove little: {', '.join(trial)}.**"


def _is_trial(name: str, part: Part) -> bool:
    both_lists = ("json", "xml") if name in ("processes", "profile") else ()
    sizes = (name,) if name in SIZES else both_lists
    return any(part.sizes[size] < SIZES[size] for size in sizes)


def _goals(results: Results) -> Iterator[str]:
    yield "## What was to be reached"
    rows: list[Sequence[str]] = []
    notes: list[str] = []
    for goal in goals(results):
        rows.append((goal.what, goal.peers, goal.ours, goal.target, "no" if goal.missed else "yes"))
        if goal.missed:
            notes.append(f"- {goal.what}: {'; '.join(goal.missed)}. {TRIED[goal.key]}".rstrip())
    yield _table(("what", "peers' best", "vendortap", "to reach", "reached"), rows)
    if notes:
        yield "Not reached:"
        yield "\n".join(notes)


def _circumstances(results: Results) -> Iterator[str]:
    yield "## Versions and revisions"
    versions = {name: version for part in results.values() for name, version in part.versions.items()}
    yield _table(("environment", "versions"), sorted(versions.items()))
    revisions: dict[str, list[str]] = {}
    for name, part in results.items():
        revisions.setdefault(part.revision, []).append(name)
    told = "; ".join(f"`{revision}` ({', '.join(names)})" for revision, names in revisions.items())
    yield f"Revision measured: {told}. A plus means that files had been changed since."


# --- lists -------------------------------------------------------------------------------------------


def _json(part: Part) -> Iterator[str]:
    yield "## JSON list to Singer messages"
    yield f"{part.sizes['json']:,} invoices. The last three are loops of a few lines without Singer around them."
    yield _lists(part, "json")
    yield _picture("invoices-per-cpu-second", "Invoices per CPU-second, JSON and XML")


def _xml(part: Part) -> Iterator[str]:
    yield "## XML list to Singer messages"
    yield (
        f"{part.sizes['xml']:,} invoices. airbyte-cdk's XML has strings for numbers, a scalar for one line and "
        "a list for many, so it is not exact by nature."
    )
    yield _lists(part, "xml")


def _lists(part: Part, form: Form) -> str:
    base = measured(part, BASE, rate)

    def cells(name: str) -> Sequence[str]:
        ours = measured(part, name, rate)
        times = f"{ours.median / base.median:.2f}" if ours and base else "–"
        return (
            _shown(ours),
            times,
            _shown(measured(part, name, wall), 1),
            _shown(measured(part, name, peak)),
            _exact(part.of(name)),
        )

    heads = ("", "invoices / CPU-s", "against singer-sdk", "wall s", "peak MiB", "exact")
    return _table(heads, _rows(part, lists.COMPETING[form], cells))


# --- documents ---------------------------------------------------------------------------------------


def _details(part: Part) -> Iterator[str]:
    count = part.sizes["details"]
    pages = -(-count // 200)
    yield "## Documents one by one, at 50 ms each"
    yield (
        f"{count:,} documents and {pages} pages of the index; seconds from start to end, by documents in flight. The "
        "ideal is that of the latencies alone, as many at once as may be. "
        f"Other numbers than {details.IN_FLIGHT} were measured in two rounds only; one by one once, all contenders at "
        "the same time, as they wait nearly all of it."
    )
    flights = sorted(details.SWEEP)
    rows = [
        (contender.title, *(_shown(measured(part, contender.name, wall, flight), 1) for flight in flights))
        for contender in details.SEQUENTIAL
    ]
    rows.append(("ideal", *(f"{details.ideal(count, flight):.1f}" for flight in flights)))
    yield _table(("in flight", *map(str, flights)), rows)
    yield _picture("concurrency", "Seconds against documents in flight")


def _limit(part: Part) -> Iterator[str]:
    count = part.sizes["limit"]
    yield "## Documents under a rate limit"
    yield (
        f"{count} documents from a server that lets 40 requests a second through, 20 at once, and answers any other "
        f"with 429 and `Retry-After: 1`; {details.IN_FLIGHT} in flight where a contender has that. Ideal: "
        f"{details.ideal_limited(count):.1f} s. vendortap (`requests_per_second`, `burst`) and airbyte-cdk "
        "(`api_budget`) are told the limit; dlt and singer-sdk have no setting for it. A tap on singer-python ends at "
        "the first 429."
    )

    def cells(name: str) -> Sequence[str]:
        return _shown(measured(part, name, wall), 1), _shown(measured(part, name, refused))

    yield _table(("", "wall s", "429 from the server"), _rows(part, details.LIMITED, cells))
    yield _picture("limit", "Seconds under a rate limit")


# --- memory and start-up -----------------------------------------------------------------------------


def _memory(part: Part) -> Iterator[str]:
    many = part.sizes["memory"]
    counts = (many // 100, many // 10, many)
    yield "## Memory, and the size of the state"
    yield (f"The JSON list read incrementally, so that there is a state; the {many:,} invoices in two rounds only.")
    rows = [
        (
            f"{count:,}",
            _shown(measured(part, OURS, peak, count), 1),
            _shown(measured(part, OURS, state_bytes, count)),
            _shown(measured(part, OURS, rate, count)),
        )
        for count in counts
    ]
    yield _table(("invoices", "peak MiB", "bytes of state", "invoices / CPU-s"), rows)
    peers = [f"{TITLES[c.name]} {_shown(measured(part, c.name, peak, counts[0]))}" for c in memory.PEERS]
    yield f"The peers' peaks at {counts[0]:,} invoices, in MiB: {'; '.join(peers)}."
    yield _picture("memory", "Peak memory against invoices")


def _startup(part: Part) -> Iterator[str]:
    yield "## Start-up"
    titles = {
        "list": "`vendortap list`",
        "list-plugins": "`vendortap list` with 50 plugins installed",
        "discover": "`tap-scansource --discover`",
        "discover-bare": "a bare singer-sdk tap `--discover`, in the same environment",
    }
    rows = [
        (title, _shown(measured(part, name, wall), 2), _shown(measured(part, name, cpu), 2))
        for name, title in titles.items()
    ]
    yield _table(("", "wall s", "CPU-s"), rows)


# --- into a database ---------------------------------------------------------------------------------


def _load(part: Part) -> Iterator[str]:
    whole, small = part.sizes["load"], min(part.sizes["load"], load.SMALL)
    yield "## Into DuckDB, end to end"
    yield (
        f"{whole:,} invoices from the server to committed tables, all processes added up. *Exact* says that the sums "
        "of all totals and of all lines' prices, by SQL, are those of the generator, and decimals. What takes minutes, "
        f"and is not the fastest of its kind, was run once; what would take half an hour was run with {small:,} "
        "invoices. dlt loads lines into a table of their own, or as JSON; singer-sdk's target as JSON; the others as "
        "a list of structs."
    )
    rows: list[Sequence[str]] = []
    for loader in load.LOADERS:
        runs = [run for run in part.runs if run.contender == loader.name]
        if good := [run for run in runs if not run.error]:
            rows.append((loader.title, *_loaded(part, loader.name, good)))
        else:
            rows.append((loader.title, f"failed: {runs[0].error}" if runs else "not installed"))
    yield _table(("", "wall s", "CPU-s", "invoices / s", "amounts are", "exact", "invoices × runs"), rows)
    taps = [run.extra for run in part.of(OURS, whole)]
    if taps:
        tap, target = (median(float(extra[f"{name}_cpu"]) for extra in taps) for name in ("tap", "target"))
        yield f"Of vendortap's CPU time, {tap:.1f} s are the tap's and {target:.1f} s the target's."


def _loaded(part: Part, name: str, runs: Sequence[Run]) -> Sequence[str]:
    count = runs[0].case
    return (
        _shown(measured(part, name, wall, count), 1),
        _shown(measured(part, name, cpu, count), 1),
        _shown(measured(part, name, per_second, count)),
        str(runs[0].extra["type"]),
        _said(all(run.exact for run in runs)),
        f"{count:,} × {len(runs)}",
    )


# --- processes ---------------------------------------------------------------------------------------


def _processes(part: Part) -> Iterator[str]:
    yield "## More than one core"
    yield (
        "Two taps that fetch half of the list each, beside one; and decoding, checking and encoding pages "
        f"that are in memory already, in the process or in a pool of {processes.POOL} that hands lines or "
        "records back."
    )

    ways = {
        "taps-1": "one tap",
        "taps-2": "two taps, half each",
        "decode-here": "decoding in the process",
        "decode-lines": "decoding in a pool, lines come back",
        "decode-records": "decoding in a pool, records come back pickled",
    }
    rows = [
        (
            f"{form.upper()}: {title}",
            _shown(measured(part, f"{form}-{way}", per_second)),
            _shown(measured(part, f"{form}-{way}", cpu), 2),
        )
        for form in FORMS
        for way, title in ways.items()
    ]
    yield _table(("", "invoices / s", "CPU-s"), rows)
    for form in FORMS:
        yield _when_it_pays(part, form)


def _when_it_pays(part: Part, form: Form) -> str:
    """Say from which rate on another process pays."""

    def of(way: str, figure: Figure) -> float:
        found = measured(part, f"{form}-{way}", figure)
        return found.median if found else nan

    one, two = of("taps-1", per_second), of("taps-2", per_second)
    here, lines, records = (of(f"decode-{way}", per_second) for way in processes.WAYS)
    more = of("taps-2", cpu) / of("taps-1", cpu) - 1
    return (
        f"**{form.upper()}.** One tap makes {one:,.0f} invoices a second when the server takes no time, "
        f"start-up included; two make {two:,.0f} together ({two / one:.2f} ×) for {more:.0%} more CPU. So "
        f"another process pays only where a vendor delivers more than {one:,.0f} invoices a second, which at "
        f"200 a page is a page every {200 / one * 1000:.0f} ms, one behind the other. A pool that decodes "
        f"reaches {lines / here:.2f} × with lines and {records / here:.2f} × with pickled records: "
        f"{_verdict(lines / here)}"
    )


def _verdict(times: float) -> str:
    if times < 1.1:
        return "what decoding gains is lost on the way between the processes."
    return "it helps once the decoding, and not the vendor, is what is waited for."


# --- profile -----------------------------------------------------------------------------------------


def _profile(part: Part) -> Iterator[str]:
    yield "## Where the time goes"
    yield (
        "The tap, sampled by py-spy 500 times a second, start-up included; each sample is put down to the "
        "innermost function that is known. Shares of CPU time."
    )
    for form in FORMS:
        runs = part.of(form)
        if runs:
            shares = sorted(runs[0].extra.items(), key=lambda share: -float(share[1]))
            yield f"{form.upper()}, {runs[0].records:,} invoices:"
            yield _table(("share", "what"), [(f"{float(share):.1%}", what) for what, share in shares[:10]])


if __name__ == "__main__":
    write(read())
