"""Long outputs of Grid Engine 8.1.9, as format strings."""

from __future__ import annotations

from typing import Final

QSTAT_HEAD: Final = """\
<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
"""

CONFIG: Final = """\
#global:
execd_spool_dir              /var/spool/gridengine/execd
shell_start_mode             posix_compliant
login_shells                 bash,sh,ksh,csh,tcsh
min_uid                      1000
max_unheard                  00:05:00
reporting_params             accounting={accounting} reporting=false \\
                             flush_time=00:00:15 joblog=false sharelog=00:00:00
finished_jobs                100
max_aj_instances             2000
max_aj_tasks                 {tasks}
max_u_jobs                   0
max_jobs                     0
"""

ACCOUNT: Final = """\
==============================================================
qname        main.q
hostname     {host}
group        root
owner        root
project      NONE
department   defaultdepartment
jobname      {name}
jobnumber    {number}
taskid       {task}
account      sge
priority     0
granted_pe   NONE
slots        1
failed       {failed}
exit_status  {status}
ru_wallclock 0s
cpu          0.000s
category     NONE
"""
