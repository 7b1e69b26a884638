_base_ = './td-hm_vitpose-b_8xb64-210e_coco-256x192.py'

model = dict(head=dict(type='FrozenPredictorHead'))
custom_hooks = [dict(type='FreezeHook', frozen=['head.final_layer'])]
