"""Optimizer wrappers: groups of parameters and their rates."""

from .layer_decay import BackboneLayerDecayOptimWrapperConstructor

__all__ = ['BackboneLayerDecayOptimWrapperConstructor']
