"""activate.py SOCKET PROGRAM…: becomes PROGRAM with two listening sockets, as systemd starts a service (sd_listen_fds(3)):
a Unix one at SOCKET, which stays, and a TCP one at a free port."""

import fcntl
import os
import socket
import sys

path, program = sys.argv[1], sys.argv[2:]
local = socket.socket(socket.AF_UNIX)
local.bind(path)
remote = socket.socket(socket.AF_INET)
remote.bind(("127.0.0.1", 0))
# Beside 3 and 4 first, which they may have.
spare = []
for listener in (remote, local):
    listener.listen()
    spare.append(fcntl.fcntl(listener.detach(), fcntl.F_DUPFD, 10))
for number, descriptor in enumerate(spare, 3):
    os.dup2(descriptor, number, inheritable=True)
    os.close(descriptor)
os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()))
os.execv(program[0], program)
