"""Which parameters an optimizer treats how."""

from .layer_decay import BackboneLayerDecayConstructor

__all__ = ['BackboneLayerDecayConstructor']
