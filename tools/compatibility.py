"""Write `docs/compatibility.md`, or with `--check` fail if it is stale.

What PyTorch has stands in `compatibility/names.json`: the public names (`__all__`, or what a module defines) of the
modules listed there, recorded from PyTorch 2.13. `compatibility/suite.json` lists, by reason, the cases of PyTorch's
own `test_autograd.py` that PyTorch passes and arcgrad does not, as a run of that file on arcgrad printed them.
`compatibility/remarks.json` says how names differ and why names are absent.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent / "compatibility"
PAGE = Path(__file__).parent.parent / "docs" / "compatibility.md"

HEAD = """# Compatibility with PyTorch {version}

Written by `tools/compatibility.py` from the built module; `make stubs` fails if it is stale.
Where a number or a sentence differs on purpose, [differences](differences.md) says why.
"""


def has(module: str, name: str) -> bool:
    """Whether `arcgrad` has the name in the module of this name."""
    try:
        return hasattr(importlib.import_module(f"arcgrad.{module}"), name)
    except ImportError:
        return False


def page() -> str:
    """The page as it should be."""
    recorded = json.loads((HERE / "names.json").read_text())
    remarks = json.loads((HERE / "remarks.json").read_text())
    suite = json.loads((HERE / "suite.json").read_text())
    lines = [HEAD.format(version=recorded["version"])]
    for module, names in recorded["names"].items():
        lines += [f"## `torch.{module}`", "", "| name | here |", "| --- | --- |"]
        for name in names:
            remark = remarks.get(f"{module}.{name}")
            if has(module, name):
                said = f"differs: {remark}" if remark else "present"
            elif remark:
                said = f"absent: {remark}"
            else:
                sys.exit(f"{module}.{name} is absent, and remarks.json does not say why")
            lines.append(f"| `{name}` | {said} |")
        lines.append("")
    judged, others = suite["judged"], sum(len(cases) for cases in suite["reasons"].values())
    lines += [
        "## PyTorch's own tests",
        "",
        f"PyTorch {recorded['version']} passes {judged} cases of its `test_autograd.py`; {judged - others} pass here.",
        f"The other {others}, by reason:",
        "",
    ]
    for reason, names in suite["reasons"].items():
        lines += [f"**{reason}** ({len(names)})", "", *(f"- `{name}`" for name in names), ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is stale")
    wanted = page()
    if parser.parse_args().check:
        if not PAGE.exists() or PAGE.read_text() != wanted:
            sys.exit(f"{PAGE.name} is stale: run `python tools/compatibility.py`")
    else:
        PAGE.write_text(wanted)


if __name__ == "__main__":
    main()
