"""De-identification of ultrasound: header, and pixels outside the picture itself. Needs the extra `dicom`.

Header (`header`, `pseudonyms`): the Basic Application Level Confidentiality Profile of PS3.15, annex E, from the table
of `dicom-anonymizer`; besides, only attributes are kept that are known to name nobody. Pixels (`pixels`): everything
outside the ultrasound regions is black in every frame. Text inside cannot be guaranteed away; `text_search` warns.
"""
