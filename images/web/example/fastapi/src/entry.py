"""A shop's prices, by FastAPI. Items are kept in a dictionary, which the requests of an instance share."""
import asgi
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from workers import WorkerEntrypoint

app = FastAPI()
items = {"tea": 3.5, "coffee": 4.0}


class Item(BaseModel):
    name: str
    price: float


@app.get("/")
async def root():
    return {"message": "Hello from FastAPI"}


@app.get("/items/{name}")
async def read(name: str, env=asgi.env):
    if name not in items:
        raise HTTPException(404, "there is no %s" % name)
    return {"name": name, "price": items[name], "currency": env.CURRENCY}


@app.post("/items", status_code=201)
async def add(item: Item):
    items[item.name] = item.price
    return item


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request, self.env, self.ctx)
