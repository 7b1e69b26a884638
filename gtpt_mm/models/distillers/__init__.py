"""Training of a small model with the help of a large one."""

from .knowledge_distillation import (
    DistilledStudent,
    KnowledgeTokenTeacher,
    save_knowledge_token,
)

__all__ = [
    'DistilledStudent',
    'KnowledgeTokenTeacher',
    'save_knowledge_token',
]
