"""HEViTPose with the choices of its reconstruction as options."""

from .variants import CGSRMHAVariant, HEViTPoseVariant

__all__ = ['CGSRMHAVariant', 'HEViTPoseVariant']
