"""Spark in local mode: two cores, and two tries for each task."""

from __future__ import annotations

import unittest
from typing import Any, ClassVar

import driftgate
import driftgate.spark
from cases import EngineCases
from pyspark.sql import SparkSession


class Spark(EngineCases, unittest.TestCase):
    spark: ClassVar[SparkSession]

    @classmethod
    def setUpClass(cls) -> None:
        cls.control_binary()
        builder = SparkSession.builder.master("local[2,2]").appName("driftgate")
        options = {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": "512m",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        for key, value in options.items():
            builder = builder.config(key, value)
        cls.spark = builder.getOrCreate()
        cls.addClassCleanup(cls.spark.stop)
        # What fails on purpose is told by the errors.
        cls.spark.sparkContext.setLogLevel("OFF")

    def judge(self, policy: Any, predictions: Any, labels: Any = None, **options: Any) -> driftgate.Outcome:
        return driftgate.spark.replay(self.spark, policy, predictions, labels, **options)


if __name__ == "__main__":
    unittest.main()
