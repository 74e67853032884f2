# make demo   set up, then grade a made-up class from end to end
# make test   set up, check the style and the types, then run the tests
# make test-attacks  everything a submission may try, all of it (long); `make test` has a sample
# make bench  Shardwork, stock nbgrader and otter side by side (a quarter of an hour)
# make verify prove the graders: every known right and wrong solution, ten seeds (long)
.DEFAULT_GOAL := demo
.PHONY: setup demo test test-attacks lint verify bench clean

# nbgrader starts `alembic` and `jupyter` by name.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"

setup:
	@scripts/setup

demo: setup
	@$(RUN) shardwork demo

lint: setup
	@$(RUN) ruff check .
	@$(RUN) ruff format --check shardwork tests benchmarks
	@$(RUN) mypy

test: lint
	@$(RUN) pytest

test-attacks: setup
	@$(RUN) env SHARDWORK_ATTACKS=all pytest tests/attacks
	@$(RUN) python -m tests.attacks --weak

verify: setup
	@$(RUN) shardwork verify --seeds 10

bench: setup
	@$(RUN) python -m benchmarks.speed $(BENCH)

# What was graded (records, gradebook, feedback) stays.
clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
