"""Runs every benchmark, prints a row as soon as it is known, writes results.json.

python -m benchmarks [--short] [--update] [NAME ...]     NAME is a file bench_NAME.py; default: all
"""

from __future__ import annotations

import os

# Before NumPy: peers and we alike run on one core.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import importlib
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.table import write_table

HERE = Path(__file__).parent
#: What may differ between rows of one table.
MACHINE = ("processor", "cores", "system")
PACKAGES = ("neurofb", "numpy", "scipy", "mne", "mne-connectivity", "brainflow", "pylsl", "Cython")


def main() -> int:
    """Run the benchmarks that are asked for; a missed target is printed, it is no failure of the run."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    arguments.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: all)")
    arguments.add_argument("--short", action="store_true", help="a short form, to see that they run")
    arguments.add_argument(
        "--update",
        action="store_true",
        help="put the rows of these in place of their former ones; those of another machine name it",
    )
    arguments.add_argument(
        "--out", type=Path, default=HERE / "results.json", help="where to write the results"
    )
    chosen = arguments.parse_args()
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = [name for name in chosen.names if name not in known]
    if unknown:
        arguments.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # before it is our own
    results = [{**shown, "load": load} for name in chosen.names or known for shown in run(name, chosen.short)]
    if not chosen.names or chosen.update:
        document = {**machine(), "short": chosen.short, "rows": results}
        if chosen.names:
            document["rows"] = beside(results, json.loads(chosen.out.read_text("utf-8")), document)
        chosen.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"\nwritten: {chosen.out}")
        if not chosen.short:
            write_table(document)
            print("written: the table in README.md")
    missed = [result["name"] for result in results if result["meets_target"] is False]
    print(
        f"{len(results)} rows, {len(missed)} below target" + "".join(f"\n  missed: {name}" for name in missed)
    )
    return 0


def beside(
    results: list[dict[str, Any]], former: dict[str, Any], now: dict[str, Any]
) -> list[dict[str, Any]]:
    """Give the rows of a former run with those that were measured again in their places."""
    differing = [key for key in now if key not in ("date", "rows", *MACHINE) and former.get(key) != now[key]]
    if differing:
        raise SystemExit(
            f"nothing is written: the former results are of another {', '.join(differing)}; run all anew"
        )
    again = {row["benchmark"] for row in results}
    here = {key: now[key] for key in MACHINE}
    before = {key: former[key] for key in MACHINE}
    rows = [
        {"machine": before, **row} if here != before else row
        for row in former["rows"]
        if row["benchmark"] not in again
    ]
    return sorted(rows + results, key=lambda row: str(row["benchmark"]))


def run(name: str, short: bool) -> Iterator[dict[str, Any]]:
    """Print and give the rows of one benchmark."""
    print(f"\n== {name} ==", flush=True)
    for result in importlib.import_module(f"benchmarks.bench_{name}").rows(short):
        mark = {True: "ok", False: "MISSED", None: ""}[result["meets_target"]]
        ratio = "" if result["ratio"] is None else f"  {result['ratio']:.4g}×"
        target = "" if result["target"] is None else f"  (target {result['target']})"
        print(f"{mark:>6}  {result['name']}: {result['value']:.4g} {result['unit']}{ratio}{target}")
        for line in (result["peer"], result["detail"]):
            if line:
                print(f"          {line}")
        sys.stdout.flush()
        yield {"benchmark": name, "date": time.strftime("%Y-%m-%d"), **result}


def machine() -> dict[str, Any]:
    """Say where and with what the results were measured."""
    from neurofb import _kernels

    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "compiler_flags": _kernels.FLAGS,
        "instruction_sets": _kernels.INSTRUCTION_SETS,
        "checked_kernels": _kernels.CHECKED,
    }


def processor() -> str:
    """Give the processor's name and the vector instructions it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    vectors = [name for name in ("avx512f", "avx2") if name in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} ({', '.join(vectors) or 'baseline'})"


def version(name: str) -> str | None:
    """Give the installed version of a package, None if it is absent."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
