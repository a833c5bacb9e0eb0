"""rolo-plus: candidates of a detector, judged by what is known of the target."""
