using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Platform.Kernel.Http;

/// <summary>From a handler's <see cref="Result{T}"/> to typed HTTP results, so that endpoints are one line and OpenAPI knows their answers.</summary>
public static class ResultExtensions
{
    public static async Task<Results<Ok<T>, ProblemHttpResult>> ToOk<T>(this Task<Result<T>> task)
    {
        var result = await task;
        return result.Refusal is { } refusal ? refusal.ToProblem() : TypedResults.Ok(result.Value);
    }

    public static async Task<Results<Created<T>, ProblemHttpResult>> ToCreated<T>(this Task<Result<T>> task, Func<T, string> location)
    {
        var result = await task;
        return result.Refusal is { } refusal ? refusal.ToProblem() : TypedResults.Created(location(result.Value), result.Value);
    }

    /// <summary>202 for work that has been queued; the location tells where its progress can be read.</summary>
    public static async Task<Results<Accepted<T>, ProblemHttpResult>> ToAccepted<T>(this Task<Result<T>> task, Func<T, string> location)
    {
        var result = await task;
        return result.Refusal is { } refusal ? refusal.ToProblem() : TypedResults.Accepted(location(result.Value), result.Value);
    }

    public static async Task<Results<NoContent, ProblemHttpResult>> ToNoContent<T>(this Task<Result<T>> task)
    {
        var result = await task;
        return result.Refusal is { } refusal ? refusal.ToProblem() : TypedResults.NoContent();
    }
}
