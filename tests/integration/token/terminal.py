"""A command at a terminal of its own, whose prompt is answered. Prints what the terminal shows, and ends with its status.

usage: terminal.py PROMPT ANSWER COMMAND [ARGUMENT]...

The prompt is the text that is waited for; it must come within a minute.
"""

import os
import pty
import select
import sys
import termios


def main(prompt, answer, *command):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    shown = b""
    while True:
        ready, _, _ = select.select([terminal], [], [], 60)
        try:
            piece = os.read(terminal, 4096) if ready else b""
        except OSError:
            piece = b""
        if not piece:
            break
        shown += piece
        if prompt and prompt.encode() in shown:
            # The prompt is shown before the terminal stops to show what is typed.
            while termios.tcgetattr(terminal)[3] & termios.ECHO:
                os.sched_yield()
            os.write(terminal, answer.encode() + b"\n")
            prompt = ""
    _, status = os.waitpid(pid, 0)
    sys.stdout.write(shown.decode())
    return os.waitstatus_to_exitcode(status) or (3 if prompt else 0)


sys.exit(main(*sys.argv[1:]))
