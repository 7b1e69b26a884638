# The feed-forward networks stay as they were pretrained: give load_from.
_base_ = './td-hm_vitpose-b_8xb64-210e_coco-256x192.py'

# As in the official code, positions and patch embedding are frozen with them.
custom_hooks = [
    dict(
        type='FreezeHook',
        frozen=['backbone.ffn', 'backbone.pos_embed', 'backbone.patch_embed'])
]
