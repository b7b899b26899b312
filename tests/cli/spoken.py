"""Every command's words for ``--json``: what a test gives it, or which tests read what it says."""

SAYS = {
    "bmv resume": ["--state", "{state}"],
    "bmv status": ["--state", "{state}"],
    "bmv doctor": ["--state", "{state}", "--config", "{config}"],
    "bmv plan": ["--state", "{state}", "--config", "{config}"],
    "bmv disclose": ["--state", "{state}", "--config", "{config}"],
    "bmv report": ["--state", "{state}"],
    "bmv replay": ["{state}"],
    "bmv baseline": ["--state", "{state}"],
    "bmv db status": ["--state", "{state}"],
    "bmv db migrate": ["--state", "{state}"],
    "bmv db backup": ["{folder}/backup", "--state", "{state}"],
    "bmv db restore": ["{folder}/backup", "--state", "{folder}/restored"],
    "bmv db export": ["{folder}/tables", "--state", "{state}"],
    "bmv history import": ["{bars}", "--state", "{state}", "--config", "{config}"],
    "bmv history backfill": ["--from", "{today}", "--state", "{state}", "--config", "{config}"],
    "bmv inspect account": ["{market}", "--rpc", "{rpc}"],
    "bmv inspect instruction": ["{instruction}"],
    "bmv backtest": ["{bars}", "--levels", "20"],
    "bmv config reference": [],
    "bmv config check": ["{config}"],
    "bmv config preset": ["growth"],
    "bmv events": [],
    "bmv alert test": ["--config", "{config}"],
    "bmv signer": ["--stop", "--state", "{state}"],
}
"""In this order, in the state folder of a run that has ended, its world still there."""
READ_ELSEWHERE = {
    "cli/test_processes.py": ["bmv demo", "bmv sandbox"],
    "cli/test_kills.py": ["bmv run"],
    "cli/test_halt.py": ["bmv halt"],
    "cli/test_feed.py": ["bmv feed"],
    "cli/test_integrity.py": ["bmv integrity scan"],
    "backtest/test_tuning.py": ["bmv tune"],
    "cli/test_wallets.py": [
        f"bmv wallets {what}" for what in ("create", "import", "list", "fund", "sweep", "rotate", "retire")
    ],
    "cli/test_wallet_life.py": ["bmv wallets set-aside", "bmv wallets take-back"],
}
"""By the file whose tests read the JSON of these: they live long, need more, or move what wallets hold."""
