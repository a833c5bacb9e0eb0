"""Where a worker's process begins: it ties itself to the run before anything else is loaded, which takes a while."""

from __future__ import annotations

import ctypes
import os
import signal
import sys


def end_with_parent() -> None:
    """Have Linux end this process when the other end is killed; elsewhere it ends at its next answer."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != int(sys.argv[3]):  # it was killed before
            os._exit(1)


if __name__ == "__main__":
    end_with_parent()
    from rolo_bench.run.child import main

    main()
