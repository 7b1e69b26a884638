"""The version of gtpt_mm; setup.py reads this file without importing it."""

__version__ = '0.2.0'
