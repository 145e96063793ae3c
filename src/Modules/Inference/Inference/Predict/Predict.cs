using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>Predicts with named columns. In durable mode the answer leaves only after its journal row is on disk, so every answer is billed once and can be read back.</summary>
internal static class Predict
{
    /// <summary>The request as documented; it is read at the level of bytes and never made into this.</summary>
    /// <param name="Inputs">One row as an object of columns, or up to 1000 as a list; as a stream up to 100,000.</param>
    /// <param name="Entities">The key of the endpoint's feature view, or one a row; columns in <paramref name="Inputs"/> win over looked-up ones.</param>
    /// <param name="Context">Texts to find the prediction by (an order's number, a segment of users), together at most 4096 bytes of JSON. They are kept with it and nothing is computed from them.</param>
    internal sealed record Request(object? Inputs, object? Entities, Options? Options, IReadOnlyDictionary<string, string>? Context = null);

    /// <param name="Interval">False leaves the interval out.</param>
    /// <param name="TimeoutMs">After so many milliseconds the request is given up and not billed: it leaves the line, or its run is stopped. In a stream, each event has that long.</param>
    internal sealed record Options(bool Interval = true, double? TimeoutMs = null);

    /// <param name="Id">Names the prediction: GET predictions/{id} reads it back.</param>
    /// <param name="Prediction">For one row; for a list of rows <paramref name="Predictions"/> is there instead.</param>
    /// <param name="Timings">Milliseconds spent in each stage.</param>
    /// <param name="FirstRow">In a stream: which of the rows sent the first of <paramref name="Predictions"/> belongs to, from 0.</param>
    internal sealed record Response(
        Guid Id, string Endpoint, string Model, int ModelVersion, int PlanVersion, double? Prediction, Interval? Interval, IReadOnlyList<Row>? Predictions, Timings Timings,
        int? FirstRow = null, Ruled? Rules = null);

    internal sealed record Row(double Prediction, Interval? Interval, Ruled? Rules = null);

    /// <summary>What the version's rules did to the row; absent for a version without rules.</summary>
    /// <param name="Before">What was predicted before them.</param>
    /// <param name="Fired">The rules that changed the number or said something, in order.</param>
    internal sealed record Ruled(double Before, IReadOnlyList<Fired> Fired);

    /// <param name="Prediction">What the rule left; absent for a flag.</param>
    /// <param name="Flag">What a person should know.</param>
    internal sealed record Fired(string Name, double? Prediction, string? Flag);

    internal sealed record Interval(double Lower, double Upper, double Level);

    internal sealed record Timings(double Parse, double? Features, double Queue, double Run, double Journal, double Total);

    internal static void Map(IEndpointRouteBuilder routes)
    {
        var predictor = routes.ServiceProvider.GetRequiredService<Predictor>();
        var dialect = routes.ServiceProvider.GetRequiredService<NamedColumns>();
        var stream = routes.ServiceProvider.GetRequiredService<PredictStream>();
        Task Post(string endpoint, HttpContext context) => PredictStream.IsAsked(context.Request) ? stream.AnswerAsync(context, endpoint) : predictor.AnswerAsync(context, endpoint, dialect);
        routes.MapPost("endpoints/{endpoint}/predict", Post).WithName(nameof(Predict)).Needs(Permissions.Predict).WithMetadata(new NeedsNothingAround())
            .WithSummary("Predict with named columns")
            .WithDescription($"With `Accept: text/event-stream`, up to {PredictStream.MaxRows:N0} rows are answered {PredictStream.RowsEach} at a time: `event: predictions` for each part, whose `data` is the answer with `firstRow`, "
                + "written down and billed under the `id` in it before it is sent; then `event: done` with `rows`, `events` and `totalMs`, or `event: error` with the problem and `answeredRows`. "
                + "What is refused before the first event is refused with its status, as without a stream.")
            .Accepts<Request>("application/json", "*/*").Produces<Response>(StatusCodes.Status200OK, "application/json", "text/event-stream")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound)
            .ProducesProblem(StatusCodes.Status422UnprocessableEntity)
            .ProducesProblem(StatusCodes.Status429TooManyRequests).ProducesProblem(StatusCodes.Status503ServiceUnavailable);
    }
}
