"""Classes that the runs of this project need besides gtpt_mm."""

from .cached_image import LoadCachedImage
from .pck import SubsetPCK
from .processor_time import ProcessorTimeHook

__all__ = ['LoadCachedImage', 'ProcessorTimeHook', 'SubsetPCK']
