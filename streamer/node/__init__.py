"""The DICOM node: ultrasound is received over the network, analysed, and the results are sent back.

    sender -> receive -> queue (SQLite, files) -> analysis -> queue -> send -> PACS

Everything that was acknowledged is in the queue, on disk; every other part may end at any moment and begins again from
there. `pull` fetches studies from a PACS into a folder. Needs the extra `dicom`. No header text reaches a log.
"""
