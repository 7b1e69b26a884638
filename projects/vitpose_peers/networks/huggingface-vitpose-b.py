# For gtpt-mm benchmark only: no data, no training.
custom_imports = dict(
    imports=['gtpt_mm', 'projects.vitpose_peers.models'],
    allow_failed_imports=False,
)
default_scope = 'mmpose'
codec = dict(input_size=(192, 256))
model = dict(type='HuggingFaceVitPose', img_size=(256, 192))
