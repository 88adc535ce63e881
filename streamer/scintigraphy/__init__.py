"""Thyroid scintigraphy: four classes from planar 99mTc-pertechnetate images, after Front Endocrinol 2023;14:1224191.

Research use only. Images are arrays of shape (height, width); the anterior view shows the patient's right side on the
image's left.
"""
