"""rolo-plus: candidates of a detector and of a Siamese network, judged by what is known of the target."""
