using Microsoft.AspNetCore.Http;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>A way to ask for predictions: how a body becomes tensors, and outputs an answer. Everything between is the same for all
/// (<see cref="Predictor"/>), so no dialect can forget a limit or the journal. Dialects have no state; what belongs to a request is in its work.</summary>
internal abstract class Dialect
{
    /// <summary>How the journal names it.</summary>
    public abstract string Name { get; }

    /// <summary>Reads the body into the work's tensors and writes the journal's field <c>inputs</c>.</summary>
    /// <param name="headers">The request's; none when a page asks.</param>
    public abstract Refusal? Read(IHeaderDictionary? headers, ReadOnlySpan<byte> body, PredictionWork work);

    /// <summary>Adds what is looked up elsewhere, completes the tensors and writes the journal's field <c>features</c>.</summary>
    public abstract ValueTask<Refusal?> EnrichAsync(PredictionWork work, CancellationToken ct);

    /// <summary>Looks at the outputs and writes the journal's fields <c>outputs</c> and <c>intervals</c>.</summary>
    public abstract Refusal? Judge(PredictionWork work);

    /// <summary>Writes the answer's body.</summary>
    public abstract void Answer(PredictionWork work, Guid id);

    /// <summary>Sends the answer over HTTP: as the JSON that <see cref="Answer"/> wrote, unless the dialect knows better.</summary>
    public virtual Task SendAsync(HttpContext context, PredictionWork work) => ResponseBody.SendAsync(context, work.Answer.WrittenMemory);

    /// <summary>Writes a refusal in the dialect's own shape.</summary>
    public abstract Task RefuseAsync(HttpContext context, Refusal refusal);
}
