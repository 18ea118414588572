"""DVSim's flows on this scheduler: its command line as `job-runtime dvsim`, and its `run_scheduler` for programs."""
