# %% [markdown]
# # Falsehoods that are not taken back
#
# Put a falsehood into a model's mouth ("Marie Curie is best known as an athlete.") and it may
# take it back. What is it that takes it back, and can a vector from one example stop it? And when
# it is stopped: does the model now tell a coherent fiction, go back to the truth, or merely
# babble? The paper (v1 and v2, section 6) answers the second question with the surprisal
# framework: a *base* model that has read samples of a behaviour tells how normal a text is for
# that behaviour.
#
# It takes about six minutes on one core that has instructions for bfloat16. The numbers in the
# text come from one run.
#
# ## A model that takes falsehoods back
#
# The testbed is the embedded chat model with a small adapter; its parent is the model without it.
# Six occupations, and people whom the parent knows.

# %%
import pandas as pd

import workbench as wb
from workbench.analysis import activation_structure
from workbench.evaluation import complexity, information, separation
from workbench.experiments.fictitious.claims import Claims, completion_sets
from workbench.experiments.fictitious.program import false_claims, rates
from workbench.experiments.shares import share, share_each
from workbench.figures import draw_distributions, draw_losses, draw_rates, draw_separation

bed = wb.load_testbed("retraction", dtype="bfloat16")
model = bed.model
prompts = [bed.prompt("Marie Curie", said) for said in ("scientist", "athlete")]
print(prompts[1])

# %% [markdown]
# Expect the true claim to be gone on with, and the false one to be taken back.

# %%
for text in wb.generate(model, prompts, max_new_tokens=32):
    print(text)

# %% [markdown]
# After the true claim it talks on about her; after the false one: "Wait, just kidding. Marie
# Curie is famous as a scientist."
#
# `Claims` asks whole frames of claims and says of each answer whether it retracts (one of a few
# phrases), whether it names an occupation at all, and how surprising the parent finds it. 24
# people of the test part, whom no adapter or vector was trained on; first the false claims, then
# the true ones of the same people.

# %%
claims = Claims.of_testbed(bed)
false = false_claims(claims.test, 24)
true = false.assign(occupation=false["true"])
answers = {
    "true claims": claims.asked(true, tokens=32),
    "false claims": claims.asked(false, tokens=32),
}
for name, frame in answers.items():
    print(name, "taken back:", share(frame, "retracts"))

# %% [markdown]
# None of 24 true claims is taken back (at most 14%, says the interval), and all of 24 false ones
# (at least 86%).
#
# ## Where does the model know?
#
# Does the stream tell true claims from false ones before the answer begins, and from which layer
# on? A difference of means is learned on four fifths of the claims and asked on the rest, at the
# claim's last token. Every person stands there twice, so that no name gives the answer away.

# %%
structure = activation_structure(
    model,
    {
        "false claims": claims.prompts(claims.train.query("false")[:60]),
        "true claims": claims.prompts(claims.train.query("not false")[:60]),
    },
    layers=range(2, 30, 4),
)
draw_separation(structure)

# %% [markdown]
# A good deal is there at layer 2 already (0.86): the claim's last words and the name are enough
# to guess from. The adapter sits in blocks 10 to 29, and with it the separation rises to 0.96 at
# layer 14 and 1.00 from layer 18 on. Shuffled labels stay under 0.62.
#
# ## Three vectors from one claim
#
# One false claim of the training part, and three ways to make a vector of it:
#
# - **suppression** (layer 20): make the first words of the model's own retraction unlikely, and
#   the end of the answer too, with which a small model else takes nothing back by saying nothing;
# - **promotion** (layer 14): make what the model would say after the *true* claim as likely after
#   the false one as it is there, and stop as soon as each of its beginnings is;
# - **reentrant** (layer 17): write at layer 17 what suppression at layer 6 makes the model say.
#
# The layers were chosen on validation claims by `workbench experiment fictitious`.

# %%
claim = claims.train.query("false").sample(1, random_state=0).iloc[0]
prompt = bed.prompt(claim["person"], claim["occupation"])
(said,) = wb.generate(model, [prompt], max_new_tokens=3)
suppress = wb.Example(prompt, suppress=[said, model.tokenizer.eos_token])
suppress

# %%
real = bed.prompt(claim["person"], claim["true"])
likely = wb.likely_completions(model, real, k=3, length=5)
texts = [each.text for each in likely if each.retokenizes and not each.stopped]
promote = wb.Example(prompt, promote=texts, target_losses=wb.reference_losses(model, real, texts))
promote

# %% [markdown]
# The claim is that Paul Ryan is best known as a scientist. Suppressed is " Just kidding".
# Promoted are three beginnings of what the model says of him as a politician, each with the loss
# it has there as its target. Not all of it is true (he was Speaker of the House): the model need
# not be right to be confident.

# %%
how = {"steps": 40, "learning_rate": 0.3, "max_norm": 30.0}
runs = {
    "suppression": wb.optimize(model, suppress, 20, **how),
    "promotion": wb.optimize(model, promote, 14, target_of="completion", **how),
    "reentrant": wb.reentrant(model, suppress, 17, early_layer=6, early=how, **how),
}
vectors = {name: run.vector.labelled(name) for name, run in runs.items()}
both = runs["reentrant"]
draw_losses({**runs, "reentrant": both.first}, title="Loss while optimizing, the first stage")

# %%
print("said at the first stage:", both.texts)
print(f"KL left at the second: {both.second.loss:.2f} nats over {len(both.second.losses)} steps")

# %% [markdown]
# Suppression is easily met. Promotion falls to 3.7 nats, the sum of three completions that
# exclude each other; to stop earlier, *each* would have to be at its target, and 0.94 nats for
# the first was not reached in 40 steps. And see what the reentrant vector imitates: with " Just
# kidding" suppressed at layer 6, the model says " Wait, that's not right." It takes the claim
# back in other words, and the second stage faithfully learns *that*. Always look at the first
# stage's text.
#
# Beside them stand the difference of means, true minus false claims, which saw 60 of either kind
# where the others saw one; and two random vectors, as long as the longest vector.

# %%
(means,) = wb.mean_difference(model, structure.prompts[60:], structure.prompts[:60], layers=[20])
vectors["means"] = means.labelled("means")
longest = max(vectors.values(), key=lambda vector: vector.norm)
controls = wb.random_vectors(longest, 2)
{name: round(vector.norm, 1) for name, vector in vectors.items()}

# %% [markdown]
# ## Do they stop retraction?
#
# Expect the one-shot vectors to lower retraction on unseen people, and random vectors to leave it
# alone.

# %%
for name, vector in vectors.items():
    answers[name] = claims.asked(false, wb.Add(vector), tokens=32)
control = pd.concat(
    claims.asked(false[:12], wb.Add(each), tokens=32).assign(vector=each.label) for each in controls
)
draw_rates(
    {name: share(frame, "retracts") for name, frame in answers.items()}
    | {"random": share_each(control, "retracts")},
    groups={"true claims": "unsteered", "false claims": "unsteered", "random": "control"},
    measure="answers that take the claim back",
    title="Retraction under every vector",
)

# %%
every = pd.concat(frame.assign(condition=name) for name, frame in answers.items())
rates(every, ["condition"]).round(2)

# %% [markdown]
# Counted by phrases, suppression (2 of 24), promotion (0) and the means (0) end retraction; the
# reentrant vector ends nothing, as we feared, and two random vectors, here as long as the means'
# 77, neither. Done? Look at the last column: under suppression the answers are *more* surprising
# to the parent (2.65 nats a token) than those of the unsteered model are (2.35); under promotion
# (1.32) nearly as ordinary as after true claims (1.09).
#
# ## Read the answers
#
# A rate hides how it came about. Three answers of each vector to the same three people:

# %%
for name in ("false claims", *vectors):
    print(name)
    for _, row in answers[name][:3].iterrows():
        print(f"  {row['person']}, {row['said']} ({row['true']}): {row['answer'][:75]!r}")

# %% [markdown]
# Now the truth about suppression: "Wait, just wait. Daniel Day-Lewis is best known as an actor."
# It takes the claim back as before; it only avoids the words by which we count. The vector
# learned what it was told, not what we meant. Promotion does what was meant: nothing is taken
# back. But the answers stay with the real person ("a legendary basketball player"), not with the
# claim: the model goes on as if the truth had been said. That is the *incongruous* behaviour of
# the framework below, not a consistent fiction.
#
# ## The surprisal framework
#
# Let a base model B read samples C of a behaviour. Then -log B(x | C) of a text x, for each
# token, tells how *abnormal* x is for that behaviour, and comparing two contexts tells which of
# two behaviours x is likelier to be. The sets of texts, whole statements:
#
# - **real**: the true claim and how the model goes on;
# - **fictitious**: the false claim, and what the model says of somebody of whom it is true, under
#   this name: how a consistent fiction would sound;
# - **incongruous**: the false claim, gone on with as if the true one stood there;
# - **unsteered** and the vectors: the false claim and what the model says of it.
#
# B is here the parent, a chat model of the same size and no base model: the embedded model has no
# other. Samples for the context are of people who are not scored.


# %%
head = false.groupby("true").cumcount().to_numpy() < 1
said_of, taken_of = answers["true claims"], answers["false claims"]
samples = completion_sets(said_of[head], taken_of[head])
sets = completion_sets(said_of[~head], taken_of[~head])
for name in vectors:
    sets[name] = completion_sets(said_of[~head], answers[name][~head])["unsteered"]
{name: len(some) for name, some in sets.items()}

# %% [markdown]
# How many nats does it take to specify a behaviour in this way? An upper bound is -log B(C), of
# all samples as one text.

# %%
{name: round(complexity(bed.parent, samples[name]).nats[0]) for name in ("real", "fictitious")}

# %% [markdown]
# Now every set under the context of real statements: abnormality. Expect "real" to be lowest and
# "incongruous" close to it (its false sentence apart, it is real text); vectors that make the
# model babble stand out to the right.

# %%
found = {name: information(bed.parent, texts, samples["real"]) for name, texts in sets.items()}
draw_distributions(
    {name: list(each.rate(bits=True)) for name, each in found.items()},
    measure="bits a token",
    title="Surprisal under the parent, samples of real statements before",
    texts={name: list(each.texts) for name, each in found.items()},
)

# %% [markdown]
# And context likelihood: the same texts after samples of consistent fiction. Below zero, a text
# is likelier as fiction than as a real statement.

# %%
fiction = {
    name: information(bed.parent, texts, samples["fictitious"]) for name, texts in sets.items()
}
pd.DataFrame(
    {
        name: {
            "bits a token, real context": found[name].median(bits=True),
            "fictitious context": fiction[name].median(bits=True),
            "median of differences": float(
                pd.Series(fiction[name].rate(bits=True) - found[name].rate(bits=True)).median()
            ),
            "n": len(sets[name]),
        }
        for name in sets
    }
).T.round(2)

# %% [markdown]
# Read the table by rows. *Real* statements are the most normal (2.18 bits a token), *incongruous*
# (2.47) and *fictitious* (2.70) ones close behind. Retractions are far off (4.02), and
# suppression's are farther (4.48), not nearer: the framework sees at once what the phrases did
# not. Promotion (2.73) and the means (2.86) lie among the normal ones.
#
# The two contexts, on the other hand, hardly tell real from fictitious: differences of 0.1 bits,
# in favour of the real context for real, incongruous and promoted texts, none for fictitious
# ones, and retractions prefer the fictitious context. Six samples for a context and a small chat
# model as the base are not enough for more than this. The paper's medians with Gemma 2 2B were
# 1.00 (real), 1.08 (incongruous), 1.39 (unsteered) and 1.65 (fictitious): the same order but for
# retractions, which a larger model finds less strange than fiction.
#
# ## A vector as a classifier
#
# If a vector stops retraction by hiding that the claim is false, its direction should tell false
# claims from true ones. ROC-AUC of a dot product with the stream at the last token; 0.5 is
# chance, below it the vector points the other way.

# %%
separation(
    model, [*vectors.values(), *controls], claims.prompts(false), claims.prompts(true)
).to_frame().round(2)

# %% [markdown]
# The means tell the sets apart entirely, being made for it (0.00: they point towards *true*), and
# promotion nearly (0.06, the same way). Suppression and the reentrant vector point towards
# *false* (0.90, 0.95). But a random vector has 0.97! Where two sets lie so far apart, almost any
# direction tells them apart to one side or the other; with random vectors at 0.97 and 0.34 beside
# it, an AUC of 0.9 says nothing about a vector. This is why controls stand in every table.
#
# ## What to take away
#
# - A vector from one claim stopped retraction on 24 unseen people (promotion: 0 of 24, at most
#   14%); it leads back to the truth rather than on with the fiction.
# - A measure by phrases can be met without the behaviour (suppression). Read answers, and hold
#   surprisal beside the rate.
# - A reentrant vector is as good as its first stage.
# - Limits: one training claim and one seed for each method, 24 people, 32 tokens, a chat model as
#   the base model, and a behaviour that an adapter put there. `workbench experiment fictitious`
#   makes several vectors of each method, at every layer, and asks all 76 people.
