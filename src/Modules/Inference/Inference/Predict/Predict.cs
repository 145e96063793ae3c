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
    /// <param name="Inputs">One row as an object of columns, or up to 1000 as a list.</param>
    /// <param name="Entities">The key of the endpoint's feature view, or one a row; columns in <paramref name="Inputs"/> win over looked-up ones.</param>
    internal sealed record Request(object? Inputs, object? Entities, Options? Options);

    /// <param name="Interval">False leaves the interval out.</param>
    internal sealed record Options(bool Interval = true);

    /// <param name="Id">Names the prediction: GET predictions/{id} reads it back.</param>
    /// <param name="Prediction">For one row; for a list of rows <paramref name="Predictions"/> is there instead.</param>
    /// <param name="Timings">Milliseconds spent in each stage.</param>
    internal sealed record Response(
        Guid Id, string Endpoint, string Model, int ModelVersion, int PlanVersion, double? Prediction, Interval? Interval, IReadOnlyList<Row>? Predictions, Timings Timings);

    internal sealed record Row(double Prediction, Interval? Interval);

    internal sealed record Interval(double Lower, double Upper, double Level);

    internal sealed record Timings(double Parse, double? Features, double Queue, double Run, double Journal, double Total);

    internal static void Map(IEndpointRouteBuilder routes)
    {
        var predictor = routes.ServiceProvider.GetRequiredService<Predictor>();
        var dialect = routes.ServiceProvider.GetRequiredService<NamedColumns>();
        Task Post(string endpoint, HttpContext context) => predictor.AnswerAsync(context, endpoint, dialect);
        routes.MapPost("endpoints/{endpoint}/predict", Post).WithName(nameof(Predict)).Needs(Permissions.Predict)
            .WithSummary("Predict with named columns").Accepts<Request>("application/json", "*/*").Produces<Response>()
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound)
            .ProducesProblem(StatusCodes.Status429TooManyRequests).ProducesProblem(StatusCodes.Status503ServiceUnavailable);
    }
}
