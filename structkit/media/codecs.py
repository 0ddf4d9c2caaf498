"""Codecs of pictures and sound that are let near a file, by the names of FFmpeg's decoders."""

_PICTURES = """
    h264 hevc av1 libdav1d vp8 vp9 libvpx libvpx-vp9 mpeg4 mpeg2video mpeg1video mjpeg prores
    dnxhd theora ffv1 huffyuv ffvhuff utvideo rawvideo v210 qtrle png dvvideo h263 flv
    msmpeg4 msmpeg4v2 wmv1 wmv2 wmv3 vc1 svq1 svq3 cinepak
"""
_SOUND = """
    aac mp3 mp3float mp2 mp2float opus libopus vorbis flac alac ac3 eac3 dca truehd
    pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le pcm_f32be pcm_u8 pcm_alaw
    pcm_mulaw adpcm_ms adpcm_ima_wav adpcm_ima_qt wmav1 wmav2 wmapro amrnb libopencore_amrnb amrwb
    aac_latm pcm_bluray pcm_dvd
"""
VIDEO_CODECS = tuple(_PICTURES.split())
SOUND_CODECS = tuple(_SOUND.split())
