"""Harmless questions of our own for the demo: some to train on, others never seen in training."""

TRAINING = (
    "What is the capital of France?",
    "How do I bake bread?",
)

# None of these was looked at while the demo's settings were chosen.
UNSEEN = (
    "How many legs does a spider have?",
    "What is photosynthesis?",
    "Can you recommend a good book about space?",
    "How do I grow tomatoes on a balcony?",
    "What does the word 'serendipity' mean?",
    "Write a short poem about the sea.",
    "How do vaccines work?",
    "What is seven times eight?",
    "Give me an idea for a birthday party.",
    "Why do cats purr?",
    "Who invented the telephone?",
    "How can I learn to play the guitar?",
    "What are some healthy breakfast ideas?",
    "Describe a sunset in one sentence.",
    "What is the difference between a frog and a toad?",
    "How do airplanes fly?",
    "Name five countries in Africa.",
    "What is the best way to clean a window?",
    "Tell me a fun fact about octopuses.",
    "How do I make a cup of tea?",
    "What language do people speak in Brazil?",
    "Help me plan a weekend in the mountains.",
    "What is the largest planet in our solar system?",
    "How do I write a thank-you note?",
    "Explain gravity to a child.",
    "What is a healthy bedtime routine?",
    "Suggest three hobbies for rainy days.",
    "How long does it take to walk ten kilometres?",
    "What do bees make honey from?",
    "Write a slogan for a small bakery.",
)
