"""Long outputs of Slurm 22.05.8, as format strings."""

from __future__ import annotations

from typing import Final

INVALID_STATE: Final = (
    "squeue: error: Invalid job state specified: {}\n"
    "squeue: error: Valid job states include: PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL,"
    "PREEMPTED,BOOT_FAIL,DEADLINE,OUT_OF_MEMORY,COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,REQUEUE_FED,"
    "REQUEUE_HOLD,REVOKED,SIGNALING,SPECIAL_EXIT,STAGE_OUT,STOPPED\n\n"
)

SHOW_JOB: Final = """\
JobId={job_id}{array} JobName={name}
   UserId={user}({uid}) GroupId={user}({uid}) MCS_label=N/A
   JobState={state} Reason={reason} Dependency=(null)
   Requeue={requeue} Restarts={restarts} BatchFlag=1 Reboot=0 ExitCode={exit_code}
   SubmitTime={submitted} EligibleTime=Unknown
   Partition={partition} AllocNode:Sid=localhost:1
   NodeList={node}
   WorkDir={directory}
   Comment={comment}
"""

CONFIG: Final = """\
Configuration data as of {now}
AccountingStorageType   = accounting_storage/{storage}
BOOT_TIME               = {now}
ClusterName             = fake
JobRequeue              = 1
KillWait                = {kill} sec
MaxArraySize            = {array}
MaxJobCount             = {jobs}
MaxJobId                = 67043328
MaxNodeCount            = {nodes}
MessageTimeout          = 10 sec
MinJobAge               = {age} sec
NEXT_JOB_ID             = {next}
PreemptMode             = OFF
SchedulerParameters     = (null)
SLURM_VERSION           = 22.05.8

Slurmctld(primary) at fake is UP
"""
