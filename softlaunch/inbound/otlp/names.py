"""The attributes of our own by which a span says whose it is."""

APP = "softlaunch.app"
ARM = "softlaunch.arm"
VARIANT = "softlaunch.variant"
UNIT = "softlaunch.unit"
WEIGHT = "softlaunch.weight_percent"
REVISION = "softlaunch.revision"
COPY_OF = "softlaunch.copy_of"
REQUEST = "softlaunch.request_id"
OWN = frozenset({APP, ARM, VARIANT, UNIT, WEIGHT, REVISION, COPY_OF})
"""What may stand on the resource as well."""
