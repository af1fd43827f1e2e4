"""Features: one number each, and whether it is usable.

::

    feature_specs       what a protocol may ask for                 (frozen tables)
    presets             the same by name, with how good the evidence is
    checks              features of a protocol against montage and rate: every problem before the start
    feature_estimators  specifications → numbers
    usability           whether a feature is usable now, and if not, why
    value               the value of a feature, with its index and reason
    alpha_frequency     the individual alpha frequency of a baseline, which bands may follow
"""
