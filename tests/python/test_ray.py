"""Ray on this machine, with two cores, and two tries for each task."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest
from typing import Any

import driftgate
import driftgate.ray
import ray
from cases import EngineCases


class Ray(EngineCases, unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.control_binary()
        # Ray's sockets have long names below it.
        folder = tempfile.mkdtemp(prefix="ray")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=100_000_000,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        cls.addClassCleanup(ray.shutdown)

    def judge(self, policy: Any, predictions: Any, labels: Any = None, **options: Any) -> driftgate.Outcome:
        return driftgate.ray.replay(policy, predictions, labels, options={"max_retries": 1}, **options)


if __name__ == "__main__":
    unittest.main()
