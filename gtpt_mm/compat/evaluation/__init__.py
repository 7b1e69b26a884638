"""Repairs of mmpose's metrics, evaluator and keypoint converter."""
