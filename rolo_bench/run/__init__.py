"""Running trackers: jobs, the guarded loop, results on disk.

The room itself can be called, ``rolo_bench.run("ncc", "demo")``: that is `rolo_bench.run.runner.run`. A package
and a function of one name would take each other's place as soon as a module of the package is imported.
"""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As `rolo_bench.run.runner.run`."""
        from rolo_bench.run.runner import run

        return run(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
