"""Distillation: train a small model with a large one."""

from .knowledge_distillation import (
    KnowledgeTokenDistiller,
    ViTPoseDistiller,
    save_knowledge_token,
)

__all__ = [
    'KnowledgeTokenDistiller',
    'ViTPoseDistiller',
    'save_knowledge_token',
]
