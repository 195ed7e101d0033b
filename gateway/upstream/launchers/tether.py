"""Becomes a daemon: writes down who it is, ties its life to a parent where that is wanted, and replaces itself.

The rule: it runs as a program of its own, without a package around it, and imports little: it starts before each
daemon.  The pid file is written by the one it is about, before the daemon begins: whoever starts it may be killed at
any moment, and still nobody starts a second daemon on the same wallet.
    python tether.py PID_FILE PARENT FOLDER PROGRAM [ARGUMENTS...]
PID_FILE may be "", PARENT 0, FOLDER "".
"""

import os
import sys

CANNOT_START = 127
"""Exit code, as shells have it."""


def identity(pid: int) -> str:
    """Return what tells one process from all others on this machine: boot, pid, ticks from the boot to its start.

    Raises:
        OSError: there is no such process.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - pathlib takes 20 ms to load
        boot = file.read().strip()
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - the same
        # the name of a program may hold blanks and brackets, so count from the last bracket: the start is field 22
        ticks = file.read().rpartition(")")[2].split()[19]
    return f"{boot} {pid} {ticks}"


def main(words: list[str]) -> None:
    """Do it; returns only when the program cannot be started."""
    pid_file, parent, folder, *command = words
    if int(parent):
        _die_with(int(parent))
    try:
        if pid_file:
            fresh = f"{pid_file}.{os.getpid()}"
            # the name can be foreseen: what stands there is taken away and never followed; one who puts it back at
            # once keeps the daemon from starting, and no more.  Whoever may write the file could choose our daemon
            try:  # noqa: SIM105 - contextlib takes 8 ms to load
                os.unlink(fresh)  # noqa: PTH108 - the same
            except FileNotFoundError:
                pass
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(identity(os.getpid()) + "\n")
            os.replace(fresh, pid_file)  # noqa: PTH105 - the same
        if folder:
            os.chdir(folder)
        os.execvp(command[0], command)  # noqa: S606 - the operator's own command
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error}\n")
        sys.stderr.flush()
        os._exit(CANNOT_START)


def _die_with(parent: int) -> None:
    import ctypes  # noqa: PLC0415 - most daemons are not tied, and it takes its time
    import signal  # noqa: PLC0415 - the same

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    # it may have ended before it was asked for; then nobody would kill us
    if os.getppid() != parent:
        os._exit(CANNOT_START)


if __name__ == "__main__":
    main(sys.argv[1:])
