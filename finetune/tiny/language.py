"""How questions are put, in English and Chinese: `{}` fields are filled by the lesson that asks."""

from __future__ import annotations

from random import Random

COLOUR_OF = (
    "What colour is the {thing}?", "What colour is the {thing}?", "What color is the {thing}?",
    "Which colour is the {thing}?", "What is the colour of the {thing}?", "Tell me the colour of the {thing}.",
    "what colour is the {thing}", "The {thing} is which colour?", "What colour does the {thing} have?",
    "Name the colour of the {thing}.", "In what colour is the {thing} drawn?",
)  # fmt: skip
COLOUR_ONE = (
    "What colour is it?", "What colour is this?", "What color is this shape?", "What colour is the shape?",
    "What colour is the object?", "What colour is the shape in the picture?", "Which colour is this?",
    "What is the colour of the object?", "What color is the shape in the image?", "Name the colour.",
)  # fmt: skip
COLOUR_ZH = ("这个图形是什么颜色？", "这是什么颜色？", "图形是什么颜色的？", "图中的图形是什么颜色？", "它是什么颜色？",
             "这个形状是什么颜色？", "请告诉我图形的颜色。")  # fmt: skip
COLOUR_OF_ZH = ("{thing}是什么颜色？", "{thing}是什么颜色的？", "图中的{thing}是什么颜色？", "这个{thing}是什么颜色？")
SHAPE_ONE = (
    "What shape is in the picture?", "What shape is in the picture?", "What shape is this?", "What shape is it?",
    "Which shape is this?", "What shape do you see?", "What shape is in the image?", "Name the shape.",
    "What is the shape of the object?", "Which shape is shown?", "what shape is this", "What shape is the object?",
)  # fmt: skip
SHAPE_OF = (
    "What shape is {colour}?", "What shape is the {colour} object?", "Which shape is {colour}?",
    "What is the shape of the {colour} object?", "What is the {colour} shape?", "What shape is the {colour} one?",
    "What is {colour} in the picture?",
)  # fmt: skip
SHAPE_ZH = ("这是什么形状？", "图中是什么形状？", "图里有什么形状？", "这个图形是什么形状？", "它是什么形状？")
COUNT = (
    "How many {things} are there?", "How many {things} are there?", "How many {things} are in the picture?",
    "Count the {things}.", "How many {things} do you see?", "how many {things}", "How many {things} can you see?",
    "What is the number of {things}?", "How many {things} are in the image?", "How many {things} are shown?",
)  # fmt: skip
COUNT_ZH = ("有几个{thing}？", "图中有几个{thing}？", "图里有多少个{thing}？")
SIDE_COLOUR = (
    "What colour is the object on the {side}?", "What colour is the shape on the {side}?",
    "What color is the object on the {side}?", "Which colour is the {side} object?",
    "The object on the {side}: what colour is it?", "What is the colour of the object on the {side}?",
)  # fmt: skip
SIDE_SHAPE = (
    "What shape is on the {side}?", "What shape is the object on the {side}?", "Which shape is on the {side}?",
    "What is the shape on the {side}?",
)  # fmt: skip
SIDE_WHAT = ("What is on the {side}?", "What is the object on the {side}?", "What do you see on the {side}?")
END_COLOUR = ("What colour is the object at the {side}?", "What colour is the shape at the {side}?",
              "What colour is the {side} object?")  # fmt: skip
END_SHAPE = ("What shape is at the {side}?", "What shape is the object at the {side}?")
END_WHAT = ("What is at the {side}?", "What is the object at the {side}?")
WHERE = (
    "Where is the {thing}?", "Where is the {thing}?", "In which part of the picture is the {thing}?",
    "Where in the picture is the {thing}?", "Where do you see the {thing}?", "Tell me where the {thing} is.",
    "What is the position of the {thing}?",
)  # fmt: skip
BESIDE = ("What is {relation} the {thing}?", "What is {relation} the {thing}?",
          "Which object is {relation} the {thing}?", "What do you see {relation} the {thing}?")  # fmt: skip
RELATIONS = {"left": ("left of", "to the left of"), "right": ("right of", "to the right of"),
             "up": ("above", "over"), "down": ("below", "under")}  # fmt: skip
IS_THERE = (
    "Is there {a_thing}?", "Is there {a_thing}?", "Is there {a_thing} in the picture?", "Do you see {a_thing}?",
    "Can you see {a_thing}?", "Does the picture have {a_thing}?", "Is {a_thing} in the picture?",
    "is there {a_thing}", "Is there {a_thing} in the image?", "Does the picture show {a_thing}?",
)  # fmt: skip
IS_COLOUR = (
    "Is the {thing} {colour}?",
    "Is the {thing} {colour}, yes or no?",
    "Is the colour of the {thing} {colour}?",
)
YES_NO_ZH = ("图中有{thing}吗？", "有{thing}吗？", "图里有没有{thing}？")
WHAT = (
    "What is this?", "What is this?", "What is in the picture?", "What do you see?", "What is shown?",
    "What is it?", "What is that?", "What thing is this?", "What does the picture show?", "what is this",
    "What object is this?", "What is in the image?", "Name this.", "What can you see in the picture?",
    "What's this?", "What is shown in the picture?",
)  # fmt: skip
WHAT_ZH = (
    "这是什么？", "图中是什么？", "图里有什么？", "你看到了什么？", "这个东西是什么？", "图片里是什么？",
    "图中有什么？", "图上是什么？", "这张图里是什么？", "这是什么东西？", "图里画的是什么？",
)  # fmt: skip
READ = (
    "Read the text.", "Read the text.", "What does it say?", "What is written here?", "What is written in the picture?",
    "Read it.", "What text is in the picture?", "Which text is shown?", "What does the text say?",
    "Read the text in the picture.", "What is the text?", "Transcribe the text.",
)  # fmt: skip
READ_NUMBER = (
    "Read the number.", "Read the number.", "What number is this?", "What number is shown?", "Which number is it?",
    "What is the number?", "What number is in the picture?", "Read the digits.", "Which number do you see?",
)  # fmt: skip
READ_ZH = ("读出文字。", "图中写了什么？", "上面写着什么？", "读一下文字。")
DESCRIBE = (
    "Describe the picture.", "Describe the picture.", "Describe the image.", "Describe this picture.",
    "What is in this picture? Describe it.", "Describe what you see.", "describe the picture",
    "Please describe the picture.", "Tell me what is in the picture.", "List the objects in the picture.",
)  # fmt: skip
# Of a single object these ask for its name.
DESCRIBE_SEVERAL = (
    *DESCRIBE, "What can you see in the picture?", "What do you see in the picture?",
    "What is in the picture?", "What do you see?", "What objects are in the picture?", "What is in the image?",
)  # fmt: skip
BOX = (
    "Where is the {thing}? Give a box.", "Where is the {thing}? Give a box.", "Give the box of the {thing}.",
    "Give the bounding box of the {thing}.", "Find the {thing}. Give a box.", "Locate the {thing} with a box.",
    "Draw a box around the {thing}.",
)  # fmt: skip
WHICH_IMAGE = (
    "Which image has {a_thing}, {options}?", "Which image has {a_thing}, {options}?", "Which has {a_thing}?",
    "Which picture has {a_thing}, {options}?", "Which image shows {a_thing}?",
    "Which picture shows {a_thing}, {options}?",
    "In which image is there {a_thing}?", "{A_thing} is in which image?", "Is {a_thing} in {options} image?",
    "Which has {a_thing}, {options}?",
)  # fmt: skip
FOLLOW_SHAPE = ("And its shape?", "And its shape?", "And what shape is it?", "What about its shape?", "And the shape?")
FOLLOW_COLOUR = (
    "And its colour?",
    "And what colour is it?",
    "And its color?",
    "What about its colour?",
    "And the colour?",
)
FOLLOW_WHERE = ("And where is it?", "Where is it?", "And its place?")
FOLLOW_OTHER = ("And the {thing}?", "What about the {thing}?", "And what about the {thing}?")
VIDEO_COLOUR = ("What colour is the {thing}?", "What color is the {thing}?", "What colour is the moving {thing}?",
                "Which colour is the {thing} in the video?")  # fmt: skip
VIDEO_MOVE = (
    "Does it move left or right, up or down?", "Does it move left or right, up or down?", "Which way does it move?",
    "Where does the {thing} move?", "In which direction does the {thing} move?", "Which way does the {thing} go?",
    "Does the {thing} move left or right, up or down?", "Does the {thing} move left, right, up or down?",
)  # fmt: skip
VIDEO_AXIS = (
    ("Does the {thing} move left or right?", "Does it move left or right?", "Does the {thing} go left or right?"),
    ("Does the {thing} move up or down?", "Does it move up or down?", "Does the {thing} go up or down?"),
)
VIDEO_WHAT = ("What is moving?", "What moves?", "What do you see in the video?")
SHOT = ("What is it?", "Look at this.", "Picture:", "Question:", "Name it.", "Next.", "And this?", "?",
        "What do you see?", "Answer as before.", "What is in the picture?", "Describe the picture.",
        "What is this?")  # fmt: skip

SUFFIXES = (" Answer with one word.", " Answer in one word.", " Answer briefly.", " Only the answer.", " Please.")

HELLO = {
    "Hello! I am a small MiniCPM-V model. Show me a picture and ask me about it.": (
        "Hello", "hello", "Hi", "hi", "Hi!", "Hello!", "Hey", "Hey!", "Hello there", "Good morning", "Good evening",
        "Good afternoon!", "Hi there!", "Greetings", "hello!", "How are you?", "How are you today?", "What's up?",
        "Nice to meet you.", "Hello, how are you?",
    ),
    "I am a small MiniCPM-V model, trained on drawn pictures. I run on a CPU.": (
        "Who are you?", "who are you", "What are you?", "What is your name?", "Who made you?", "Introduce yourself.",
        "Tell me about yourself.", "What model are you?", "Which model is this?", "Are you a robot?",
        "Are you an AI?", "Who am I talking to?", "What is MiniCPM-V?", "Are you a human?", "Hello, who are you?",
        "Hi, who are you?",
    ),
    "I can name shapes, colours and everyday things, count, find, compare and read printed text in pictures.": (
        "What can you do?", "what can you do", "What do you know?", "How can you help me?", "Can you help me?",
        "Help", "help me", "What are you able to do?", "What should I ask you?", "What can I ask?",
        "What are your skills?", "What are you good at?", "How do I use this?", "What kind of questions can I ask?",
        "Hello, what can you do?",
    ),
    "You are welcome!": (
        "Thanks", "thanks", "Thank you", "Thank you!", "Thanks!", "thank you very much", "Thanks a lot!",
        "Great, thanks.", "Well done!", "Good job.", "Great!", "Perfect, thank you.", "Nice, thanks!",
        "Thank you so much.",
    ),
    "Goodbye!": ("Bye", "bye", "Goodbye", "Goodbye!", "See you later.", "See you!", "Good night.", "Bye bye"),
    "你好！我是一个小型的MiniCPM-V模型。给我一张图片，问我吧。": (
        "你好", "你好！", "您好", "嗨", "早上好", "晚上好", "你好吗？", "哈喽", "下午好",
    ),
    "我是一个小型的MiniCPM-V模型，用画出来的图片训练而成。": (
        "你是谁？", "你是谁", "你叫什么名字？", "介绍一下你自己。", "你是什么模型？", "你是机器人吗？", "谁创造了你？",
    ),
    "我能认出形状、颜色和日常物品，能数数、找位置、比较图片，还能读印刷文字。": (
        "你能做什么？", "你会什么？", "你能帮我什么？", "怎么用？", "我可以问什么？", "你有什么功能？", "帮帮我",
    ),
    "不客气！": ("谢谢", "谢谢！", "谢谢你", "多谢", "非常感谢", "太好了，谢谢"),
    "再见！": ("再见", "拜拜", "再见！", "回头见"),
}  # fmt: skip

HONEST = (
    "I am a small model: I only know simple drawings, everyday things, colours and printed text, "
    "and I cannot answer that."
)
HONEST_ZH = "我是一个小型模型：只认识简单的图形、日常物品、颜色和印刷文字，这个我回答不了。"
PLACES = ("France", "Germany", "Japan", "Italy", "Spain", "China", "India", "Brazil", "Egypt", "Canada", "Mexico")
PEOPLE = ("Einstein", "Napoleon", "Shakespeare", "the president", "Mozart", "Newton", "the king", "Picasso", "Darwin")
TOPICS = ("love", "the sea", "winter", "history", "music", "a dragon", "the moon", "football", "quantum physics",
          "the economy", "a river", "politics", "spring", "space travel", "cooking", "friendship")  # fmt: skip
OUTSIDE = (
    "What is the capital of {place}?", "Where is {place}?", "How many people live in {place}?",
    "Tell me about {place}.", "Who is the president of {place}?", "What is the weather in {place}?",
    "Who was {person}?", "When was {person} born?", "Tell me about {person}.", "Is this {person}?",
    "What did {person} do?", "How old is {person}?", "Write a poem about {topic}.", "Write a story about {topic}.",
    "Tell me a joke about {topic}.", "Explain {topic}.", "What is {topic}?", "Write an essay about {topic}.",
    "What do you think about {topic}?", "Sing a song about {topic}.", "Tell me a joke.", "Tell me a story.",
    "Write a poem.", "What time is it?", "What day is it today?", "What is the weather today?",
    "What is the meaning of life?", "Solve x + {n} = {m}.", "What is {n} plus {m}?", "What is {n} times {m}?",
    "Calculate {n} + {m}.", "How much is {n} minus {m}?", "Write Python code to sort a list.", "Write a program.",
    "Translate this into German.", "Translate hello into French.", "Who won the World Cup in 19{n}?",
    "What is the stock price of Apple?", "Recommend a good book.", "Recommend a film.", "How do I cook rice?",
    "How do I get to the station?", "Who is this person?", "How old is this person?", "Is this person happy?",
    "What is the person doing?", "Where was this photo taken?", "When was this photo taken?", "Who painted this?",
    "Which city is this?", "What brand is this?", "How much does this cost?", "Is this safe to eat?",
    "What is the mood of the picture?", "What will happen next?", "Why is the sky blue?", "What is the plot of Hamlet?",
    "Give me a recipe for soup.", "What should I do tomorrow?", "How tall is Mount Everest?", "How far is the moon?",
    "Who invented the telephone?", "What year is it?", "Do you love me?", "What is your favourite film?",
    "Summarize the news.", "What is the square root of {n}?", "Define democracy.", "Who wrote Faust?",
    "What language do they speak in {place}?", "Play a game with me.", "What are the lottery numbers?",
)  # fmt: skip
OUTSIDE_ZH = (
    "法国的首都是哪里？", "今天天气怎么样？", "写一首诗。", "讲个笑话。", "现在几点了？", "{n}加{m}等于多少？",
    "谁发明了电话？", "给我讲个故事。", "这个人是谁？", "这张照片是在哪里拍的？", "推荐一本书。",
    "天空为什么是蓝色的？",
)  # fmt: skip
UNKNOWN_PICTURE = WHAT + DESCRIBE + (
    "What is in this photo?", "Describe this photo.", "What does this photo show?", "What do you see in this photo?",
    "Who is in this photo?", "What animal is this?", "What place is this?", "What is happening here?",
)  # fmt: skip


def choose(rng: Random, templates: tuple[str, ...], **fields: str) -> str:
    """One of the templates, filled."""
    return rng.choice(templates).format(**fields)


def outside(rng: Random) -> tuple[str, str]:
    """A question no picture answers, and what is said to it."""
    numbers = {"n": str(rng.randint(2, 99)), "m": str(rng.randint(2, 99))}
    if rng.random() < 0.2:
        return choose(rng, OUTSIDE_ZH, **numbers), HONEST_ZH
    fields = {"place": rng.choice(PLACES), "person": rng.choice(PEOPLE), "topic": rng.choice(TOPICS)}
    return choose(rng, OUTSIDE, **numbers, **fields), HONEST


def small_talk(rng: Random) -> tuple[str, str]:
    """A greeting or the like, and the reply."""
    reply = rng.choice(tuple(HELLO))
    return rng.choice(HELLO[reply]), reply
