"""The programs of the supervisor and of the shims that it forks: processes of their own.

The task is to end a whole *tree* of processes, whatever sessions they open, even after the runtime was killed. A signal
to a process group misses the processes that left it. A walk of the tree misses processes whose parent has ended, and
may hit an unrelated process that was given the pid of one that has exited. A *child subreaper*
(`PR_SET_CHILD_SUBREAPER`) has neither problem: orphans among its descendants become its children. It kills its direct
children until it has none, and their pids cannot be reused before it has reaped them. But a subreaper adopts every
orphan below it, which an embedding program does not expect. So helper processes are the subreapers, not the runtime::

    runtime ── supervisor ─┬─ shim ── the processes of a job
                           ├─ shim ── the processes of another
                           └─ shim    (idle)

A *shim* runs one job at a time. It makes the job's files (unless the runtime did), starts the job in a session of its
own, waits, kills what is left, reports the end together with the log if that is short, and takes the next job. Shims
are reused for speed: no large process has to fork for a job.

The *supervisor* forks shims. It has a session of its own, so no key of a terminal signals it, and a single thread, so
`PR_SET_PDEATHSIG`, which is sent when the forking *thread* exits, means the death of the process. It is a subreaper as
well: when a job kills its shim, the supervisor adopts the job's processes.

How each death is noticed:

- the runtime's: the supervisor sees the end of its control socket, and the pidfd of the runtime; each shim sees the end
  of its own socket. All jobs are killed at once;
- the supervisor's: the kernel sends SIGTERM to each shim, which kills its job, reports that, and exits;
- a shim's: the supervisor reaps it, kills what its job left, and reports that;
- that of all of them: the runtime sees the end of the socket on which all of them answer.

All signals that can be blocked are blocked in the supervisor and the shims, because systemd signals every process of a
control group, Slurm every process of an allocation, and a job perhaps its parent. Only SIGTERM has a meaning, and only
for a shim, if the supervisor has sent it or the supervisor has died; neither the sender's pid nor the parent's can be
forged. A guard that was stopped is continued: a shim by the supervisor, which sees it at once (`WUNTRACED`), and both
by the runtime, twice a second.

Messages are marshalled tuples. Commands arrive on a stream socket per process. All answers share a `SOCK_SEQPACKET`,
which keeps each of them whole. It is no pipe, because a job of the same user can open a pipe of any process in
``/proc``, and write into it; a socket cannot be opened there. A process that waits because the socket is full still
notices all these deaths. Jobs inherit no descriptors but 0, 1 and 2.

A guard has to start fast, and to need little memory. So its modules import little of the standard library, and of the
runtime only each other, `runtime.rooted` and `runtime.helper`; `runtime.helper.boot` runs them.
"""
