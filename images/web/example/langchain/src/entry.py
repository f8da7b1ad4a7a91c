"""A chain of a prompt, a model and a parser: /?profession=electrician.

The model is a stand-in, which needs no network and no key. For a real one, put its package into requirements.txt,
its key into `sandboxctl secret set langchain API_KEY`, and an object of it into the place of `StandIn()`.
"""
from js import URL
from langchain_core.language_models.llms import LLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate
from workers import Response, WorkerEntrypoint

ENDS = ("I mend what others have broken", "I have never been bored", "I would do it again")


class StandIn(LLM):
    """Completes a sentence, always in the same way."""

    @property
    def _llm_type(self):
        return "stand-in"

    def _call(self, prompt, stop=None, run_manager=None, **kwargs):
        sentence = prompt.partition(": ")[2]
        return "%s %s." % (sentence, ENDS[len(sentence) % len(ENDS)])


prompt = PromptTemplate.from_template("Complete the following sentence: I am a {profession}, and")
chain = prompt | StandIn() | StrOutputParser()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        profession = URL.new(request.url).searchParams.get("profession") or "programmer"
        return Response(await chain.ainvoke({"profession": profession}))
