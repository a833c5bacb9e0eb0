"""ROLO: an LSTM over detections and image features."""
