"""The architectures: one module is one factory of the same name.

A module may also have `teacher_forced(model)`, a twin on the same layers that is trained with the targets as inputs, and
`inference(model)`, the pair of models that decodes step by step. Modules are found, not listed.
"""
