"""Parameters, MACs, latency, throughput and memory of pose models.

:class:`Comparison` trains variants of a model and tabulates their results.
"""

from .accuracy import Accuracy, AccuracyConfig, AccuracySettings
from .cases import BenchmarkConfig, Case
from .figure import check_known, find_bubbles, plot_accuracy
from .loader import format_loaders, time_loaders
from .machine import describe_machine
from .macs import count_modules, count_operators
from .measure import run_benchmark
from .memory import peak_memory
from .network import Network, load_network, training_batch
from .report import check_plot_file, format_report, plot_report, to_json
from .results import Benchmark, ModelCost, Timing
from .selection import ModelChoice, find_config, parse_models
from .trainings import Comparison, Training

__all__ = [
    'Accuracy',
    'AccuracyConfig',
    'AccuracySettings',
    'Benchmark',
    'BenchmarkConfig',
    'Case',
    'Comparison',
    'ModelChoice',
    'ModelCost',
    'Network',
    'Timing',
    'Training',
    'check_known',
    'check_plot_file',
    'count_modules',
    'count_operators',
    'describe_machine',
    'find_bubbles',
    'find_config',
    'format_loaders',
    'format_report',
    'load_network',
    'parse_models',
    'peak_memory',
    'plot_accuracy',
    'plot_report',
    'run_benchmark',
    'time_loaders',
    'to_json',
    'training_batch',
]
