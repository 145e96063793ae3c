using System.Reflection;
using FluentValidation;
using MediatR;

namespace Platform.Kernel;

/// <summary>A response that can carry a refusal, so that a behaviour can refuse without knowing the value's type.</summary>
public interface IRefusable<TSelf>
{
    static abstract TSelf Refused(Refusal refusal);
}

/// <summary>Enforces <see cref="NeedsAttribute"/> on requests, whoever sends them: an endpoint, a page, another module.</summary>
public sealed class PermissionBehaviour<TRequest, TResponse>(CallerScope scope) : IPipelineBehavior<TRequest, TResponse>
    where TRequest : IRequest<TResponse>
    where TResponse : IRefusable<TResponse>
{
    private static readonly string? Permission = typeof(TRequest).GetCustomAttribute<NeedsAttribute>()?.Permission;

    public Task<TResponse> Handle(TRequest request, CancellationToken cancellationToken, RequestHandlerDelegate<TResponse> next) =>
        Permission is null || scope.Current.May(Permission)
            ? next()
            : Task.FromResult(TResponse.Refused(Lacking(Permission)));

    private static Refusal Lacking(string permission) => PermissionRefusals.Lacking(permission);
}

/// <summary>The one wording of "you lack a permission".</summary>
public static class PermissionRefusals
{
    public static Refusal Lacking(string permission) => Refusal.Forbidden(
        "permission-missing", $"This needs the permission '{permission}', which your role or key does not have.", "Ask a tenant administrator for a role or a key that has it.");
}

/// <summary>Runs the request's FluentValidation rules and turns their findings into one refusal with an entry per field.</summary>
public sealed class ValidationBehaviour<TRequest, TResponse>(IEnumerable<IValidator<TRequest>> validators) : IPipelineBehavior<TRequest, TResponse>
    where TRequest : IRequest<TResponse>
    where TResponse : IRefusable<TResponse>
{
    public Task<TResponse> Handle(TRequest request, CancellationToken cancellationToken, RequestHandlerDelegate<TResponse> next)
    {
        List<FieldError> errors = [];
        foreach (var validator in validators)
        {
            errors.AddRange(validator.Validate(request).Errors.Select(e => new FieldError(CamelCase(e.PropertyName), e.ErrorMessage)));
        }

        if (errors.Count == 0) return next();
        var first = errors[0];
        return Task.FromResult(TResponse.Refused(
            Refusal.Invalid("invalid-field", first.Detail, first.Field, "Correct the named field and send the request again.") with { Errors = errors }));
    }

    private static string CamelCase(string path) =>
        string.Join('.', path.Split('.').Select(part => part.Length == 0 ? part : char.ToLowerInvariant(part[0]) + part[1..]));
}
