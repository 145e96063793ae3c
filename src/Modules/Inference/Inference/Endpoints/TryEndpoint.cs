using System.Text;
using System.Text.Json;
using MediatR;
using Platform.Inference.Predict;
using Platform.Inference.Predict.OpenInference;
using Platform.Kernel;

namespace Platform.Inference.Endpoints;

/// <summary>Asks an endpoint from its page. It is a prediction like any other: limited, written down and billed.</summary>
internal static class TryEndpoint
{
    /// <param name="Body">What the API would be sent: a predict body, or an infer body for a model that takes tensors.</param>
    [Needs(Permissions.Predict)]
    internal sealed record Command(string Name, string Body, bool AsTensors) : IRequest<Result<JsonElement>>;

    internal sealed class Handler(Predictor predictor, NamedColumns columns, Tensors tensors, CallerScope scope) : IRequestHandler<Command, Result<JsonElement>>
    {
        public async Task<Result<JsonElement>> Handle(Command command, CancellationToken ct)
        {
            Dialect dialect = command.AsTensors ? tensors : columns;
            var answer = await predictor.AnswerAsync(scope.Current, command.Name, Encoding.UTF8.GetBytes(command.Body), dialect, ct);
            if (answer.Refusal is { } refusal) return refusal;
            using var document = JsonDocument.Parse(answer.Value);
            return document.RootElement.Clone();
        }
    }
}
