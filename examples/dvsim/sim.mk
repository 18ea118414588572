# The targets of each job of the flow. DVSim calls them with all that its configuration says as variables of make.

build:
	$(pre_build_cmds)
	$(build_cmd) $(build_dir) $(build_opts)
	$(post_build_cmds)

run:
	$(pre_run_cmds)
	cd $(run_dir) && $(run_cmd) $(run_opts)
	$(post_run_cmds)

.PHONY: build run
